"""The checker of histories is independent of the code that it judges."""

import ast
import re
from pathlib import Path

from tests.chaos.history.check import INVARIANTS

ROOT = Path(__file__).parents[2]
HISTORY = ROOT / "tests" / "chaos" / "history"
ALLOWED = {"chapar", "google", "tests.chaos.history"}
"""Beside the standard library. A function of `services` would repeat the mistake that it is to find."""


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            found.add(node.module or "")
    return found


def test_the_checker_imports_contracts_only() -> None:
    """Neither services nor other tests nor any client of Kafka: it is a pure function of what it is given."""
    files = sorted(HISTORY.rglob("*.py"))
    assert len(files) > 15
    for path in files:
        own = {name for name in imported(path) if name.partition(".")[0] in {"chapar", "google", "services", "tests"}}
        assert {name for name in own if not any(name == a or name.startswith(f"{a}.") for a in ALLOWED)} == set(), path
        pure = {"asyncio", "os", "time", "random", "socket", "subprocess", "aiokafka", "grpc", "threading"}
        assert imported(path).isdisjoint(pure), path


def test_each_invariant_states_itself_and_its_number() -> None:
    """A module's docstring begins with the number: the modules are the specification."""
    modules = sorted((HISTORY / "invariants").glob("i*.py"))
    stated = [re.match(r"(I\d+): ", ast.get_docstring(ast.parse(module.read_text())) or "") for module in modules]
    assert [found[1] for found in stated if found] == list(INVARIANTS) == [f"I{n}" for n in range(1, 12)]
