"""Each service has one list of reasons, and docs/reasons.md explains each of them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from docs.generate.reasons import ENUMS, codes, members, render

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)*")
TAKES_REASON = {
    "ChaparError": 1,
    "InvalidRecord": 0,
    "Refusal": 0,
    "Refused": 0,
    "refused": 0,
    "refuse": 0,
    "_refuse": 0,
    "CallerRefused": 2,
    "_denied": 0,
    "Unreadable": 0,
    "OutputTooLarge": 0,
}
"""The calls that take a reason, with the reason's position."""


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    paths = sorted(path for path in (ROOT / "services").rglob("*.py"))
    return tuple((str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in paths)


def literals(call: ast.Call) -> Iterator[str]:
    """Yield the reasons that a call gives as text."""
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    given = [keyword.value for keyword in call.keywords if keyword.arg == "reason"]
    if name in TAKES_REASON:
        given += call.args[: TAKES_REASON[name] + 2]
    for each in given if name in TAKES_REASON or name in {"invalid", "PartResult"} else ():
        for node in (each.body, each.orelse) if isinstance(each, ast.IfExp) else (each,):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                yield node.value


def used(file: str) -> set[str]:
    """Return the members of the `Reason` in a file that the modules which import it name."""
    module = file.removesuffix(".py").replace("/", ".")
    return {
        node.attr
        for _, tree in modules()
        if any(isinstance(node, ast.ImportFrom) and node.module == module for node in ast.walk(tree))
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }


def test_no_reason_is_written_as_text() -> None:
    """A refusal names a member of its service's enum, so the list is complete."""
    found = [
        f"{path}:{node.lineno} {reason}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for reason in literals(node)
    ]
    assert not found


def test_the_check_sees_text() -> None:
    """The check would find a reason in each form."""
    for source in (
        'ChaparError(ErrorKind.INVALID, "BAD_THING", "x")',
        'InvalidRecord("BAD_THING")',
        'invalid("field", "text", reason="BAD_THING")',
        'refused("BAD_THING" if late else Reason.TOO_LARGE)',
    ):
        call = ast.parse(source, mode="eval").body
        assert isinstance(call, ast.Call)
        assert list(literals(call)) == ["BAD_THING"]


@pytest.mark.parametrize("file", ENUMS.values())
def test_every_member_has_its_name_as_value_and_a_text(file: str) -> None:
    """The text has two parts: what the reason means, and what to do."""
    found = list(members(ROOT / file))
    assert found
    for name, value, text in found:
        assert name == value
        assert re.fullmatch(r"[A-Z][^|]*?\. [A-Z][^|]*\.", text), f"{name}: {text}"


@pytest.mark.parametrize("file", ENUMS.values())
def test_every_member_is_used(file: str) -> None:
    """A reason that the package no longer gives is removed."""
    assert {name for name, _, _ in members(ROOT / file)} <= used(file)


def test_one_code_has_one_text() -> None:
    """A code means the same wherever it comes from."""
    texts = {(name, text) for file in ENUMS.values() for name, _, text in members(ROOT / file)}
    named = [name for name, _ in texts]
    assert sorted(name for name in set(named) if named.count(name) > 1) == []


def test_one_spelling() -> None:
    """What does not exist is UNKNOWN_X, never X_UNKNOWN or NO_SUCH_X."""
    assert not [code.name for code in codes() if code.name.endswith("_UNKNOWN") or code.name.startswith("NO_SUCH")]


def test_the_page_is_generated_from_the_enums() -> None:
    """`make docs` was run after the last change of a reason."""
    assert (ROOT / "docs/reasons.md").read_text() == render()
