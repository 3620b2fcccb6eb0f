"""The compiled router decides as the source from which it was compiled, field by field, and writes the same bytes."""

import importlib.util
import os
import shutil
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
        pytest.skip("there is no C compiler: the router is not compiled on this machine")
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
    """Effects and changelog of some thousands of commands are compared as text: 1 for 1.0, or another order, would be a difference.

    So are all records that a shard writes, with their headers.
    """
    kind, *theirs = _decided(tmp_path / "compiled", compiled)
    pure, *ours = _decided(tmp_path / "pure")
    assert (kind, pure) == ("compiled", "pure")
    different = [(n, a, b) for n, (a, b) in enumerate(zip_longest(ours, theirs)) if a != b]
    assert different[:1] == []
    assert len([line for line in ours if line.startswith("    Assigned(")]) > COMMANDS / 10
    written = [line.split(" ", 1)[0] for line in ours]
    assert min(map(written.count, ("routing.events.v1", "gateway.feed.v1", "routing.journal.v1"))) > COMMANDS / 10
    assert written.count("refused") > 10


def test_the_wheel_is_compiled_by_the_locked_compiler() -> None:
    """The build has its own requirements, which the lock file does not hold; those that could change the code have the lock's versions."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = {p["name"]: p["version"] for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    assert hook["enable-by-default"] is False
    pinned = dict(wanted.split("==") for wanted in hook["dependencies"] if "==" in wanted)
    assert pinned == {name: locked[name] for name in ("mypy", "sortedcontainers-stubs", "msgspec", "types-protobuf")}


def test_nothing_compiled_lies_beside_the_sources() -> None:
    """Python would load it instead of the source, even if it is older."""
    assert list((ROOT / "services").rglob("*.so")) == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what is compiled, never built."""
    shutil.copytree(ROOT / "services", tmp_path / "services", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("hatch_build.py", "native_constructors.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def _run(checkout: Path, **environment: str) -> tuple[str, str]:
    """Return the place from which a command of `make run` imports the engine, and what is said before."""
    show = "import services.router.domain.engine as engine; print(engine.__file__)"
    command = [sys.executable, str(checkout / "hatch_build.py"), "--run", sys.executable, "-c", show]
    ran = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=checkout, env={**os.environ, **environment}
    )
    return ran.stdout.strip(), ran.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_make_run_starts_is_compiled(compiled: Path) -> None:
    """It says so, and imports the compiled modules without further settings."""
    module, said = _run(ROOT)
    assert Path(module).parent == compiled / "services/router/domain"
    assert module.endswith(".so")
    assert said == "the router runs compiled, from build/compiled\n"


def test_make_run_starts_without_a_compiler(checkout: Path) -> None:
    """It runs the sources, and says why."""
    module, said = _run(checkout, CC="/nonexistent/cc", PYTHONPATH=str(checkout))
    assert module == str(checkout / "services/router/domain/engine.py")
    assert "as Python: there is no C compiler here" in said


@pytest.mark.slow
def test_make_run_starts_although_compiling_fails(checkout: Path) -> None:
    """The error is shown; nothing half-built is left or used."""
    with (checkout / "services/router/domain/engine.py").open("a") as source:
        source.write('\n_WRONG: int = "not a number"\n')
    module, said = _run(checkout, PYTHONPATH=str(checkout))
    assert module == str(checkout / "services/router/domain/engine.py")
    assert "Incompatible types" in said
    assert "as Python: it could not be compiled, see above" in said
    assert not (checkout / "build/compiled").exists()


def test_make_run_can_be_told_not_to_compile(checkout: Path) -> None:
    """For those who change the router and start it often."""
    assert "as Python: CHAPAR_COMPILE=false" in _run(checkout, CHAPAR_COMPILE="false", PYTHONPATH=str(checkout))[1]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        _run(checkout, CHAPAR_COMPILE="no", PYTHONPATH=str(checkout))
    assert "true or false" in refused.value.stderr
