"""Tests run on a mutant, in a child process whose imports get the mutant's text instead of the file's.

The parent has imported everything else that the tests need, so that a child starts with the engine and the tests at
once. A child's time limit is CPU time, so that a busy machine kills nothing. A test that starts processes of its own
would load the unchanged file: such tests are excluded.
"""

import importlib
import importlib.abc
import importlib.machinery
import os
import resource
import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from hypothesis import Phase, settings

_QUIET: Final = (
    *("-q", "-x", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=no", "--durations=0"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
_MEMORY: Final = 3 * 2**30
_OWN: Final = ("services.router", "tests.unit", "tests.flow", "__main__")


class Outcome(Enum):
    """Result of trying a mutant."""

    SURVIVED = "survived"
    KILLED = "killed"
    TIMED_OUT = "killed by time"


@dataclass(frozen=True, slots=True)
class Stage:
    """Tests that run together, and the CPU time that a mutant may take for them: several times that of the unchanged
    engine."""

    name: str
    tests: tuple[str, ...]
    cpu_s: int


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, name: str, path: str, text: str) -> None:
        self._name, self._path, self._text = name, path, text

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=self._path)

    def exec_module(self, module: ModuleType) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `"" is not None`: the compiler warns about some mutants
            code = compile(self._text, self._path, "exec")
        exec(code, module.__dict__)


def prepare(stages: Sequence[Stage]) -> None:
    """Import what the tests import, except the mutated files and the tests themselves; and check that the stages
    pass."""
    settings.register_profile("mutants", deadline=None, phases=(Phase.explicit, Phase.generate), database=None)
    settings.load_profile("mutants")  # the smallest example is not needed
    for stage in stages:
        with _Report() as report:
            outcome = _run(stage, None, report)
            names = report.names()
        if outcome is not Outcome.SURVIVED:
            raise SystemExit(f"without any change, {stage.name} is {outcome.value}: fix that first")
        for name in names:
            if not name.startswith(_OWN) and name not in sys.modules:
                importlib.import_module(name)


def judge(path: str, text: str, stages: Sequence[Stage]) -> tuple[Outcome, str]:
    """Return the outcome for a mutant, and the stage that found it."""
    name = path.removesuffix(".py").replace("/", ".")
    for stage in stages:
        outcome = _run(stage, _Mutated(name, path, text), None)
        if outcome is not Outcome.SURVIVED:
            return outcome, stage.name
    return Outcome.SURVIVED, ""


class _Report:
    """A file in memory in which a child writes the names of its imports."""

    def __enter__(self) -> "_Report":
        self._file = os.memfd_create("imports")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def write(self) -> None:
        """Write the names; called by the child."""
        found = [name for name, module in list(sys.modules.items()) if getattr(module, "__spec__", None) is not None]
        os.pwrite(self._file, "\n".join(found).encode(), 0)

    def names(self) -> list[str]:
        """Read the names; called by the parent."""
        size = os.fstat(self._file).st_size
        return os.pread(self._file, size, 0).decode().split()


def _run(stage: Stage, mutated: _Mutated | None, report: _Report | None) -> Outcome:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(_in_child(stage, mutated, report))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Outcome.TIMED_OUT if os.WTERMSIG(status) == signal.SIGXCPU else Outcome.KILLED
    code = os.WEXITSTATUS(status)
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit(f"{stage.name}: pytest could not run it (exit code {code})")
    return Outcome.SURVIVED if code == pytest.ExitCode.OK else Outcome.KILLED


def _in_child(stage: Stage, mutated: _Mutated | None, report: _Report | None) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (stage.cpu_s, stage.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silence = os.open(os.devnull, os.O_WRONLY)
    if not os.environ.get("CHAPAR_MUTANTS_LOUD"):
        os.dup2(silence, 1)
        os.dup2(silence, 2)
    if mutated is not None:
        sys.meta_path.insert(0, mutated)
    try:
        code = int(pytest.main([*_QUIET, *stage.tests]))
    except BaseException:  # noqa: BLE001 - whatever a mutant does, it ends here
        code = int(pytest.ExitCode.TESTS_FAILED)
    if report is not None:
        report.write()
    return code


def root() -> Path:
    """Return the root of the repository."""
    return Path(__file__).parents[2]
