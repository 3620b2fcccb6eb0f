"""A run depends on its seed alone; and seeds that have found something stay tests."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.campaign import explain, kept_seeds, run_seeds
from tests.simulation.machinery import Machinery
from tests.simulation.mutations import Mutation
from tests.simulation.simulation import run

SEED = 4


def test_the_same_seed_writes_the_same_log_bit_for_bit(machinery: Machinery) -> None:
    """Also after other seeds, with other machinery, and while the event log is written; another seed writes another log."""
    first = run(SEED, machinery)
    other = run(SEED + 1, machinery)
    lines: list[str] = []
    again = run(SEED, Machinery(), lines=lines)
    assert (again.digest, again.reached) == (first.digest, first.reached)
    assert other.digest != first.digest
    assert len(lines) > 100


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_writes_the_same_log(machinery: Machinery, hash_seed: str) -> None:
    """The order of sets and dicts by hash decides nothing."""
    program = (
        "from tests.simulation.machinery import Machinery; from tests.simulation.simulation import run;"
        f"print(run({SEED}, Machinery()).digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    assert done.stdout.strip() == run(SEED, machinery).digest


@pytest.mark.parametrize("seed", kept_seeds())
def test_a_seed_that_has_found_something_finds_nothing_more(machinery: Machinery, seed: int) -> None:
    """See kept_seeds.txt."""
    assert not run_seeds([seed], machinery).failed, explain(seed, machinery)


def test_a_failing_seed_says_how_to_run_it_and_what_happened(
    machinery: Machinery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The explanation names the command, the file with the whole event log, and each violation."""
    monkeypatch.chdir(tmp_path)
    bug = Mutation.CAPACITY_OFF_BY_ONE
    seed = next(seed for seed in itertools.count() if run(seed, machinery, bug).violations)
    text = explain(seed, machinery, bug)
    assert f"make simulate-faults ONLY={seed}" in text
    assert f"build/simulation/seed-{seed}.log" in text
    assert "VIOLATION I3" in text
    assert "takes over" in (tmp_path / f"build/simulation/seed-{seed}.log").read_text()
