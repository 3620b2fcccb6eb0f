"""A YAML file that its parser cannot take is refused with a finding by each reader of YAML, never with the parser's own exception."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from services.chassis.errors import ChaparError
from services.chassis.settings import _read_yaml
from services.cli.config.files import load
from services.cli.scenario_policy import of_scenario
from services.router.simulation.reading import ScenarioError, read

ROOT = Path(__file__).resolve().parents[3]
UNREADABLE = {
    "a mapping as a key": b"? - {}\n",
    "a date that does not exist": b"tenant: 2026-99-99\n",
    "a number of thousands of digits": b"tenant: " + b"9" * 5_000 + b"\n",
    "bytes that are not UTF-8": b"tenant: \xff\xfe\n",
    "brackets without end": b"[" * 5_000,
    "an undefined alias": b"tenant: *nothing\n",
}


def _settings(path: Path) -> bool:
    try:
        return not isinstance(_read_yaml(path), dict)
    except ChaparError:
        return True


def _scenario(path: Path) -> bool:
    try:
        read(path)
    except ScenarioError:
        return True
    return False


READERS: dict[str, Callable[[Path], bool]] = {
    "services/cli/config/files.py": lambda path: bool(load(path).findings),
    "services/cli/scenario_policy.py": lambda path: of_scenario(path) is None,
    "services/router/simulation/reading.py": _scenario,
    "services/chassis/settings.py": _settings,
}
"""By module: whether the reader refused the file."""


@pytest.mark.parametrize("module", READERS)
@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_file_that_the_parser_cannot_take_is_refused(module: str, kind: str, tmp_path: Path) -> None:
    """Whatever the parser raises becomes the reader's own refusal."""
    path = tmp_path / "file.yaml"
    path.write_bytes(UNREADABLE[kind])
    assert READERS[module](path)


def test_each_module_that_parses_yaml_is_listed() -> None:
    """A new reader of YAML cannot be forgotten."""
    found = set()
    for path in (ROOT / "services").rglob("*.py"):
        calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        if any(isinstance(call, ast.Name) and call.id == "YAML" for call in calls):
            found.add(str(path.relative_to(ROOT)))
    assert found == set(READERS)
