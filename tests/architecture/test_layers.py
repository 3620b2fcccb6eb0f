"""The architecture contracts hold, and they really look at every module."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_contracts_of_import_linter_hold() -> None:
    """Services apart, domains pure, layers in order."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_no_file_is_a_drawer_for_everything() -> None:
    """No utils.py, helpers.py and the like: a name tells what a room is for."""
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "stuff", "base", "core_utils"}
    assert [p for p in (ROOT / "services").rglob("*.py") if p.stem in drawers] == []
