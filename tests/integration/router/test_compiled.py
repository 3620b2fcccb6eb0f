"""The compiled engine decides as the source from which it was compiled, field by field."""

import importlib.util
import os
import subprocess
import sys
import tomllib
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
COMMANDS = 3_000


def _hatch_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def compiled() -> Path:
    """Return build/compiled, built now unless it was built from these sources already."""
    hatch_build = _hatch_build()
    if not hatch_build.has_compiler():
        pytest.skip("there is no C compiler: the engine is not compiled on this machine")
    found: Path = hatch_build.build_beside()
    return found


def _decided(to: Path, *first: Path) -> list[str]:
    path = os.pathsep.join(map(str, [*first, ROOT, ROOT / "protos"]))
    command = [sys.executable, "-m", "tests.integration.router.decided", str(COMMANDS), str(to)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"})
    return to.read_text().splitlines()


@pytest.mark.slow
@pytest.mark.timeout(900)  # two minutes of CPU when it has to be compiled
def test_compiled_and_pure_decide_the_same(compiled: Path, tmp_path: Path) -> None:
    """Effects and changelog of some thousands of commands are compared as text: 1 for 1.0, or another order, would be a difference."""
    kind, *theirs = _decided(tmp_path / "compiled", compiled)
    pure, *ours = _decided(tmp_path / "pure")
    assert (kind, pure) == ("compiled", "pure")
    different = [(n, a, b) for n, (a, b) in enumerate(zip_longest(ours, theirs)) if a != b]
    assert different[:1] == []
    assert len([line for line in ours if line.startswith("    Assigned(")]) > COMMANDS / 10


def test_the_wheel_is_compiled_by_the_locked_compiler() -> None:
    """The build has its own requirements, which the lock file does not hold; those that could change the code have the lock's versions."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = {p["name"]: p["version"] for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    assert hook["enable-by-default"] is False
    pinned = dict(wanted.split("==") for wanted in hook["dependencies"] if "==" in wanted)
    assert pinned == {name: locked[name] for name in ("mypy", "sortedcontainers-stubs", "msgspec")}


def test_nothing_compiled_lies_beside_the_sources() -> None:
    """Python would load it instead of the source, even if it is older."""
    assert list((ROOT / "services").rglob("*.so")) == []
