"""docs/security.md lists attacks, and each row names a test that exists."""

import ast
import re
from pathlib import Path

from services.chassis.topics import TOPICS
from services.ingest.settings import IngestSettings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
NODES = re.compile(r"`(tests/[\w./]+\.py)(?:::([\w:]+))?`")


def _names(path: Path) -> set[str]:
    """Return the functions and classes of a test file; methods as `Class::method`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.add(node.name)
            inner = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}::{each.name}" for each in inner}
    return found


def missing_tests(page: str) -> list[str]:
    """Return the named tests that do not exist, in the order of the page."""
    missing = []
    for file, name in NODES.findall(page):
        path = ROOT / file
        if not path.exists() or (name and name not in _names(path)):
            missing.append(f"{file}::{name}" if name else file)
    return missing


def test_each_attack_of_the_security_page_has_its_test() -> None:
    """This test fails for a row that names a renamed or removed test."""
    assert missing_tests(PAGE.read_text(encoding="utf-8")) == []


def test_the_stated_retention_of_the_audit_log_is_that_of_its_setting() -> None:
    """The decision names the setting with its default, and the topic keeps its records for the same time."""
    decision = (ROOT / "docs" / "decisions" / "0059-audit-log.md").read_text(encoding="utf-8")
    [days] = re.findall(r"stays for `audit_days` \((\d+), as long as the topic keeps it\)", decision)
    assert int(days) == IngestSettings.model_fields["audit_days"].default
    assert int(days) * 86_400_000 == TOPICS["audit.v1"].retention_ms


def test_a_renamed_test_is_found_missing() -> None:
    """The check itself can fail: a file and a function that do not exist are both reported."""
    page = "| a | `tests/architecture/test_nowhere.py` |\n| b | `tests/architecture/test_layers.py::test_nothing` |"
    assert len(missing_tests(page)) == 2
