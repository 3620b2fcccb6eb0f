"""Each function that takes text or bytes from outside is in the registry, or is excused with a reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.excused import EXCUSED, WALKED
from tests.hostile.registry import REGISTERED

ROOT = Path(__file__).parents[3]
TEXTS = frozenset({"str", "bytes", "bytearray", "memoryview", "EmailMessage", "Message"})


def modules() -> Iterator[Path]:
    """Yield the modules that outside text reaches."""
    for pattern in WALKED:
        yield from sorted(path for path in ROOT.glob(pattern) if "_pb2" not in path.name)


def functions_of(source: str, module: str) -> Iterator[str]:
    """Yield the public functions and methods with a parameter that is text or bytes."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and _takes_text(inner):
                    yield f"{module}.{node.name}.{inner.name}"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _takes_text(node):
            yield f"{module}.{node.name}"


def _takes_text(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return not function.name.startswith("_") and any(
        _is_text(each.annotation) for each in given if each is not None and each.annotation is not None
    )


def _is_text(annotation: ast.expr) -> bool:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name) and node.id in TEXTS:
            return True
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _is_text(ast.parse(node.value, mode="eval").body)
        ):
            return True
    return False


def excuse_of(function: str) -> str:
    """Return the reason why a function need not be in the registry: its own or its module's; empty when there is none."""
    own = EXCUSED.get(function, "")
    return own or next((EXCUSED[name] for name in _above(function) if name in EXCUSED), "")


def _above(function: str) -> Iterator[str]:
    while "." in function:
        function = function.rpartition(".")[0]
        yield function


def found() -> list[str]:
    """Return all functions of the walk."""
    return [
        function
        for path in modules()
        for function in functions_of(path.read_text(), ".".join(path.relative_to(ROOT).with_suffix("").parts))
    ]


def test_every_function_that_takes_outside_text_is_registered_or_excused() -> None:
    """Add a new function to `tests/hostile/registry.py`. If no text from outside reaches it, give the reason in `excused.py`."""
    assert [function for function in found() if function not in REGISTERED and not excuse_of(function)] == []


def test_the_registry_and_the_excuses_name_what_exists() -> None:
    """The registry and the excuses contain only names of existing functions, and no name in both."""
    known = set(found())
    above = {name for function in known for name in _above(function)}
    assert sorted(REGISTERED - known) == []
    assert sorted(set(EXCUSED) - known - above) == []
    assert sorted(REGISTERED & set(EXCUSED)) == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(text: str) -> None: ...", ["m.f"]),
        ("async def f(*, raw: 'bytes | None' = None) -> None: ...", ["m.f"]),
        ("def f(*parts: str) -> None: ...", ["m.f"]),
        ("def f(items: Sequence[tuple[int, bytes]]) -> None: ...", ["m.f"]),
        ("class C:\n  def f(self, mail: EmailMessage) -> None: ...", ["m.C.f"]),
        ("def _f(text: str) -> None: ...\nclass _C:\n  def f(self, text: str) -> None: ...", []),
        ("def f(number: int) -> str: ...", []),
    ],
)
def test_the_walk_sees_each_way_to_take_text(source: str, names: list[str]) -> None:
    """The walk finds each form of annotation with text or bytes, and skips private names and other types."""
    assert list(functions_of(source, "m")) == names
