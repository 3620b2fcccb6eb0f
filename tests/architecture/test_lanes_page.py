"""Each claim of docs/lanes.md names a test or a mutation: they exist."""

import ast
import re
from pathlib import Path

import pytest

from tests.chaos.lane.worker import MUTATIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/lanes.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)(?:::(\w+))?", PAGE)))


def functions(file: str) -> set[str]:
    """Return the names of the tests in all files of a name."""
    return {
        node.name
        for path in (ROOT / "tests").rglob(file)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_named_test_exists(file: str, name: str) -> None:
    found = functions(file)
    assert found
    assert not name or name in found


def test_the_page_names_tests_and_every_mutation() -> None:
    """A mutation that the page does not name, or a page without tests, would be an argument without evidence."""
    assert len(NAMED) > 8
    assert sorted(name for name in MUTATIONS if f"`{name}`" not in PAGE and f"[{name}]" not in PAGE) == []
