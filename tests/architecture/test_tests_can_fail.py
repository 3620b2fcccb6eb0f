"""Every test checks something: itself, or through a function of the tests that does."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
CHECKS = {"raises", "fail", "warns"}
"""pytest's own."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def called(function: ast.AST) -> set[str]:
    """Return the names of what a function calls, without their owners."""
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    methods = {call.attr for call in calls if isinstance(call, ast.Attribute)}
    return methods | {call.id for call in calls if isinstance(call, ast.Name)}


def checks_itself(function: Function) -> bool:
    return bool(called(function) & CHECKS) or any(
        isinstance(node, ast.Assert | ast.Raise) for node in ast.walk(function)
    )


def idle(trees: dict[str, ast.Module]) -> list[str]:
    """Return the tests that check nothing, with their files. A name counts as a check when a function of this name checks."""
    found = [(file, function) for file, tree in trees.items() for function in functions(tree)]
    checking = {function.name for _, function in found if checks_itself(function)}
    while more := {f.name for _, f in found if f.name not in checking and called(f) & checking}:
        checking |= more
    tests = [(file, f) for file, f in found if f.name.startswith("test_")]
    return [f"{file}: {f.name}" for file, f in tests if not checks_itself(f) and not called(f) & checking]


def test_every_test_checks_something() -> None:
    trees = {str(path.relative_to(TESTS)): ast.parse(path.read_text()) for path in sorted(TESTS.rglob("*.py"))}
    assert idle(trees) == []


def test_a_test_without_a_check_is_found() -> None:
    """Also when it calls a function that checks nothing; one that checks through another function is allowed."""
    text = """
def helper(): assert thing()
def between(): return helper()
def silent(): return thing()
def test_one(): assert thing()
def test_two(): between()
def test_three():
    with pytest.raises(ValueError): thing()
def test_idle(): silent()
async def test_idle_too(): await thing()
"""
    assert idle({"a.py": ast.parse(text)}) == ["a.py: test_idle", "a.py: test_idle_too"]
