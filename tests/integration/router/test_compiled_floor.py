"""The compiled floor of the simulator gives the same results as its source, bit by bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import engine_compiled

ROOT = Path(__file__).parents[3]


def _simulated(to: Path, *first: Path) -> list[str]:
    path = os.pathsep.join(map(str, [*first, ROOT, ROOT / "protos"]))
    command = [sys.executable, "-m", "tests.integration.router.simulated", str(to)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"})
    return to.read_text().splitlines()


@pytest.mark.slow
@pytest.mark.timeout(900)  # two minutes of CPU when it has to be compiled
def test_compiled_and_pure_simulate_the_same(tmp_path: Path) -> None:
    """Each log is compared as text, so that the last bit of a wait, or 1 for 1.0, would be a difference."""
    compiled = engine_compiled.build()
    if compiled is None:
        pytest.skip("there is no C compiler: the floor is not compiled on this machine")
    kind, *theirs = _simulated(tmp_path / "compiled", compiled)
    pure, *ours = _simulated(tmp_path / "pure")
    assert (kind, pure) == ("compiled", "pure")
    assert [one for one, other in zip(ours, theirs, strict=True) if one != other] == []
    assert len(ours) > 40
