"""A decision does not depend on the process that makes it: neither on its hash seed nor on its memory addresses."""

import os
import subprocess
import sys


def test_two_processes_with_other_hash_seeds_decide_alike() -> None:
    """The same four hundred steps, with three labels or more on each interaction, give the same hash of every batch."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.unit.router.replay.elsewhere"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2718")
    ]
    told = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert told[0] == told[1]
    assert told[0].count("\n") > 50
