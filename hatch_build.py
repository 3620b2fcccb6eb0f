"""Compiles the router's path to C by mypyc, for the wheel and beside the sources: the engine, and what turns records into its commands and its
effects into records. Why, and why only that: docs/decisions/0033.

    HATCH_BUILD_HOOK_ENABLE_CUSTOM=true uv build --wheel    the wheel, compiled; without the variable it is pure
    python hatch_build.py                                   build/compiled, for tests and benches: `make compiled`
    python hatch_build.py --run COMMAND…                    the same, then COMMAND with it: `make run`

Never in place: a compiled module beside its source is what Python would load, however old it is. build/compiled shadows nothing unless PYTHONPATH
names it first (and PYTHONSAFEPATH=1 keeps the working directory behind it). A wheel that should be compiled is compiled, or its build fails; only
`--run` falls back to the sources, and says so.
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
PATH = (
    *(
        Path("services/router/translate") / name
        for name in ("attributes.py", "codec.py", "commands.py", "events.py", "feed.py", "wire.py")
    ),
    *(Path("services/router/lanes") / name for name in ("shard.py", "shard_metrics.py")),
    *(Path("services/chassis/kafka") / name for name in ("headers.py", "outbox.py", "records.py")),
    *(Path("services/chassis") / name for name in ("ids.py", "keys.py")),
    *(Path("services/policy/reading") / name for name in ("numbers.py", "selectors.py")),
)
"""What a record passes on its way to the engine and back. All services use the modules of the chassis."""
PURE = DOMAIN / "entries.py"
"""Stays Python: mypyc keeps neither the options of msgspec's structs nor the types of their fields, from which msgspec makes its decoders."""
COMPILED = Path("build/compiled")
_MARK = "made-of"
CONSTRUCTORS = ROOT / "native_constructors.py"
_MYPY = ("--follow-imports=silent", "--ignore-missing-imports", "--no-warn-unused-ignores", "--no-warn-return-any")
"""The rest of the program is not judged here: a wheel is built without the libraries that it imports. `make types` judges it."""
GROUP = "chapar_compiled"
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
            compile_path(target)
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


def compile_path(target: Path) -> None:
    """Put the compiled modules under `target`, at the places that they have in a wheel. About 60 s of CPU and 820 MB."""
    # In a process of its own: mypy and setuptools read the working directory and the command line, and keep state.
    command = [sys.executable, __file__, "--into", str(target.resolve())]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603 this file, with our arguments
    if ran.returncode:
        # Only then: mypyc remarks on every generator, as it should (docs/decisions/0033).
        sys.stderr.write(ran.stdout)
        ran.check_returncode()


def _compile(target: Path) -> None:
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    with tempfile.TemporaryDirectory(prefix="chapar-") as work:
        os.chdir(_copied(Path(work) / "sources"))
        modules = mypycify(
            ["--cache-dir", f"{work}/mypy", *_MYPY, *(str(path) for path in _sources() if path != PURE)],
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
    return sorted([*TYPES, *SIMULATION, *PATH, *(path.relative_to(ROOT) for path in (ROOT / DOMAIN).rglob("*.py"))])


def build_beside(target: Path = ROOT / COMPILED) -> Path:
    """Return `target`, from which Python takes the compiled modules and the sources of everything else. Built when a module has changed.

    Raises CalledProcessError when the code cannot be compiled.
    """
    if not is_built(target):
        made_of = _fingerprint()  # before: a source may be edited meanwhile
        new = target.with_name(f"{target.name}.new")  # a build that is interrupted leaves the last one as it was
        shutil.rmtree(new, ignore_errors=True)
        compile_path(new)
        for source in _sources():
            shutil.copy(ROOT / source, new / source)
        (new / _MARK).write_text(made_of)
        shutil.rmtree(target, ignore_errors=True)
        new.rename(target)
    # A package has one place, so what else the parents of compiled modules hold must be there too: links, which cannot be old.
    for package in {parent for source in _sources() for parent in source.parents[:-1]}:
        for path in (ROOT / package).iterdir():
            link = target / package / path.name
            if path.name != "__pycache__" and not link.exists():
                link.symlink_to(path)
    return target


def is_built(target: Path = ROOT / COMPILED) -> bool:
    """Whether `target` was built from these sources, by this mypy, for this Python."""
    mark = target / _MARK
    return mark.exists() and mark.read_text() == _fingerprint()


def _fingerprint() -> str:
    from mypy.version import __version__

    found = hashlib.sha256(f"{__version__} {sys.version} {sysconfig.get_config_var('EXT_SUFFIX')}".encode())
    for path in (Path(__file__).resolve(), CONSTRUCTORS, *(ROOT / source for source in _sources())):
        found.update(f"{path.name}\0".encode() + path.read_bytes())
    return found.hexdigest()


def run(command: list[str]) -> None:
    """Become `command`, with the compiled modules where they can be had. Prints to stderr which it is."""
    environment = dict(os.environ)
    compiled = _on_demand(environment.get("CHAPAR_COMPILE", "true"))
    if compiled is not None:
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{compiled}{os.pathsep}{before}" if before else str(compiled)
        environment["PYTHONSAFEPATH"] = "1"
    os.execvpe(command[0], command, environment)  # noqa: S606 the Makefile's own command


def _on_demand(wanted: str) -> Path | None:
    if wanted not in ("true", "false"):
        sys.exit(f"CHAPAR_COMPILE is {wanted!r}: true or false")
    if wanted == "false":
        _say("the router runs as Python: CHAPAR_COMPILE=false")
        return None
    if not is_built():
        if not has_compiler():
            _say("the router runs as Python: there is no C compiler here")
            return None
        _say("compiling the router: about a minute, once for these sources (CHAPAR_COMPILE=false runs it as Python)")
    try:
        compiled = build_beside()
    except subprocess.CalledProcessError:
        _say("the router runs as Python: it could not be compiled, see above")
        return None
    _say(f"the router runs compiled, from {COMPILED}")
    return compiled


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--into"]:
        _compile(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["--run"]:
        run(sys.argv[2:])
    elif has_compiler():
        print(build_beside().relative_to(ROOT))
    else:
        sys.exit("no C compiler here: the router runs as Python")
