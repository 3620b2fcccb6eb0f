"""Tests give a smaller limit or a shorter time as an argument. A constant that a test replaces is a hidden argument: the
code that reads it cannot show that it can be chosen, and a rename leaves the test without effect."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTERS = {"setattr", "patch", "object"}
"""monkeypatch.setattr, setattr, mock.patch, mock.patch.object."""


def is_constant(name: str) -> bool:
    return name.lstrip("_").isupper()


def replaced(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each constant that a module replaces in another module or class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func) in SETTERS:
            texts = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            yield from ((node.lineno, text) for text in texts if is_constant(text.rpartition(".")[2]))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del) and is_constant(node.attr):
            yield node.lineno, ast.unparse(node)


def _called(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def test_tests_replace_no_constant() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line, name in replaced(ast.parse(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        'monkeypatch.setattr(module, "_LIMIT", 2)',
        'monkeypatch.setattr("services.some.module._LIMIT", 2)',
        'setattr(module, "LIMIT_2", 2)',
        'mock.patch("services.some.module.LIMIT", 2)',
        'mock.patch.object(Some, "_LIMIT", 2)',
        "module._LIMIT = 2",
        "del Some.LIMIT",
    ],
)
def test_each_way_to_replace_a_constant_is_found(text: str) -> None:
    assert [line for line, _ in replaced(ast.parse(text))] == [1]


@pytest.mark.parametrize(
    "text", ['monkeypatch.setattr(os, "getuid", fake)', "self.limit = 2", "LIMIT = 2", "f(A.LIMIT)"]
)
def test_other_statements_are_allowed(text: str) -> None:
    assert list(replaced(ast.parse(text))) == []
