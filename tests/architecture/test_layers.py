"""The contracts of import-linter hold, and no module has a catch-all name."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_contracts_of_import_linter_hold() -> None:
    """Services do not import each other, domains are pure, and layers import in one direction."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_no_module_has_a_catch_all_name() -> None:
    """There is no utils.py, helpers.py or similar: the name of a module says what it is for."""
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "stuff", "base", "core_utils"}
    assert [p for p in (ROOT / "services").rglob("*.py") if p.stem in drawers] == []
