"""Compiles the routing engine's domain, and the types of policy that it uses, to C by mypyc, for the wheel and beside the sources.
Why, and why only that: docs/decisions/0033.

    HATCH_BUILD_HOOK_ENABLE_CUSTOM=true uv build --wheel    the wheel, compiled; without the variable it is pure
    python hatch_build.py                                   build/compiled, for tests and benches: `make compiled`

Never in place: a compiled module beside its source is what Python would load, however old it is. Who asks for a compiled engine gets one or an
error. build/compiled shadows nothing unless PYTHONPATH names it first (and PYTHONSAFEPATH=1 keeps the working directory behind it).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
DOMAIN = Path("services/router/domain")
TYPES = tuple(
    Path("services/policy/model") / name for name in ("eligibility.py", "interning.py", "routing.py", "validity.py")
)
"""The types of policy that the domain reads at each decision: left as Python, each access from compiled code would be a slow one."""
SIMULATION = tuple(Path("services/router/simulation") / name for name in ("attempts.py", "floor.py", "log.py"))
"""The simulator's loop around the engine: it gives three commands for each customer, and reads their events."""
PURE = DOMAIN / "entries.py"
"""Stays Python: mypyc keeps neither the options of msgspec's structs nor the types of their fields, from which msgspec makes its decoders."""
COMPILED = Path("build/compiled")
CONSTRUCTORS = ROOT / "native_constructors.py"
GROUP = "chapar_router_domain"
"""Names the shared object that holds the code of all modules, at the top level; each module's own is a few lines that point to it."""


def get_build_hook() -> type[BuildHookInterface[Any]]:
    """hatchling looks for this name. The import is here because a development environment has no hatchling."""
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class CompiledEngine(BuildHookInterface[Any]):
        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            if version == "editable":
                self.app.display_info("chapar: an editable installation stays pure")
                return
            self._built = tempfile.TemporaryDirectory(prefix="chapar-")
            target = Path(self._built.name)
            compile_domain(target)
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["force_include"].update({str(p): str(p.relative_to(target)) for p in target.rglob("*.so")})

        def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
            if version != "editable":
                self._built.cleanup()

    return CompiledEngine


def has_compiler() -> bool:
    """Whether there is the C compiler that this Python's extensions are built with, or the one that CC names."""
    return shutil.which((os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]) is not None


def compile_domain(target: Path) -> None:
    """Puts the compiled modules under `target`, at the places that they have in a wheel. About 75 s of CPU and 250 MB."""
    # In a process of its own: mypy and setuptools read the working directory and the command line, and keep state.
    subprocess.run([sys.executable, __file__, "--into", str(target.resolve())], cwd=ROOT, check=True)  # noqa: S603 this file, with our arguments


def _compile(target: Path) -> None:
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    with tempfile.TemporaryDirectory(prefix="chapar-") as work:
        os.chdir(_copied(Path(work) / "sources"))
        modules = mypycify(
            ["--cache-dir", f"{work}/mypy", *(str(path) for path in _sources() if path != PURE)],
            opt_level="2",
            multi_file=True,
            group_name=GROUP,
            target_dir=f"{work}/c",
        )
        command = build_ext(Distribution({"name": GROUP, "ext_modules": modules}))
        command.build_lib, command.build_temp = str(target), f"{work}/objects"
        command.ensure_finalized()
        command.run()


def _copied(to: Path) -> Path:
    """Copy what the compiler reads to a directory, with the constructors of dataclasses written out: see `native_constructors`."""
    written_out = run_path(str(CONSTRUCTORS))["written_out"]
    shutil.copytree(ROOT / "services", to / "services", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", to)
    (to / "protos").symlink_to(ROOT / "protos")
    for path in _sources():
        if path != PURE:
            (to / path).write_text(written_out((ROOT / path).read_text()))
    return to


def _sources() -> list[Path]:
    return sorted([*TYPES, *SIMULATION, *(path.relative_to(ROOT) for path in (ROOT / DOMAIN).rglob("*.py"))])


def build_beside(target: Path = ROOT / COMPILED) -> Path:
    """`target`, as a place from which Python takes the compiled domain and the sources of everything else. Built when the domain has changed.

    Raises CalledProcessError when the code cannot be compiled.
    """
    wanted = _fingerprint()
    mark = target / "made-of"
    if not mark.exists() or mark.read_text() != wanted:
        shutil.rmtree(target, ignore_errors=True)
        compile_domain(target)
        for source in _sources():
            shutil.copy(ROOT / source, target / source)
        mark.write_text(wanted)
    # A package has one place, so what else the parents of compiled modules hold must be there too: links, which cannot be old.
    for package in {parent for source in _sources() for parent in source.parents[:-1]}:
        for path in (ROOT / package).iterdir():
            link = target / package / path.name
            if path.name != "__pycache__" and not link.exists():
                link.symlink_to(path)
    return target


def _fingerprint() -> str:
    from mypy.version import __version__

    found = hashlib.sha256(f"{__version__} {sys.version} {sysconfig.get_config_var('EXT_SUFFIX')}".encode())
    for path in (Path(__file__).resolve(), CONSTRUCTORS, *(ROOT / source for source in _sources())):
        found.update(f"{path.name}\0".encode() + path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--into"]:
        _compile(Path(sys.argv[2]))
    elif has_compiler():
        print(build_beside().relative_to(ROOT))
    else:
        sys.exit("no C compiler here: the engine runs pure")
