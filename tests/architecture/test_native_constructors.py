"""The compiler's copies construct the same objects as the sources: native_constructors.py."""

import dataclasses
import inspect
import sys
from itertools import zip_longest
from pathlib import Path
from runpy import run_path
from types import CodeType, ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def written_out(source: str) -> str:
    """Return a module's source as it is compiled."""
    found: str = run_path(str(ROOT / "native_constructors.py"))["written_out"](source)
    return found


def _executed(source: str, name: str) -> dict[str, Any]:
    module = ModuleType(name)
    exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def _dataclasses(names: dict[str, Any], module: str) -> dict[str, type[Any]]:
    return {
        name: found
        for name, found in names.items()
        if isinstance(found, type) and dataclasses.is_dataclass(found) and found.__module__ == module
    }


def _shape(found: type[Any]) -> list[tuple[str, str, str]]:
    """Return the parameters: name, kind, and the default as text; any factory's default is the same text."""
    factories = {one.name for one in dataclasses.fields(found) if one.default_factory is not dataclasses.MISSING}
    return [
        (name, one.kind.name, "made" if name in factories else repr(one.default))
        for name, one in inspect.signature(found).parameters.items()
    ]


BUILD = run_path(str(ROOT / "hatch_build.py"))
MODULES = [path for path in BUILD["_sources"]() if path != BUILD["PURE"]]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_constructor_has_the_parameters_of_its_class(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, order, kinds and defaults are the same."""
    name = ".".join(path.with_suffix("").parts)
    monkeypatch.setitem(sys.modules, name, ModuleType(name))  # dataclasses look for the module of their class
    source = (ROOT / path).read_text()
    ours = _dataclasses(_executed(source, name), name)
    theirs = _dataclasses(_executed(written_out(source), name), name)
    assert {one: _shape(found) for one, found in theirs.items()} == {one: _shape(found) for one, found in ours.items()}
    generated = [one for one, found in theirs.items() if _made_by_dataclass(found)]
    assert [one for one in generated if not hasattr(theirs[one], "__post_init__")] == []


def _made_by_dataclass(found: type[Any]) -> bool:
    code: CodeType = vars(found)["__init__"].__code__
    return code.co_filename == "<string>"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_line_moves(path: Path) -> None:
    """So that tracebacks of compiled modules name the lines of the source: a constructor replaces a blank line."""
    source = (ROOT / path).read_text().splitlines()
    written = written_out((ROOT / path).read_text()).splitlines()
    moved = [
        number
        for number, (before, after) in enumerate(zip_longest(source, written), 1)
        if before and after not in (before, before.replace("frozen=True", "unsafe_hash=True"))
    ]
    assert moved == []


def _made(source: str) -> type[Any]:
    """Return the class `Made` of a module with constructors written out."""
    head = "from dataclasses import dataclass, field\n\n\n"
    found: type[Any] = _executed(written_out(head + source), __name__)["Made"]
    return found


def test_fields_of_all_kinds() -> None:
    """Fields of the base class come first, those by keyword last; each object has a list of its own."""
    made = _made(
        """@dataclass(slots=True, kw_only=True)
class Base:
    reply: str = ""


@dataclass(slots=True)
class Made(Base):
    number: int
    names: list[str] = field(default_factory=list)
    later: int = field(init=False)
"""
    )
    one, other = made(1, reply="r"), made(2)
    assert (one.number, one.names, one.reply, other.reply) == (1, [], "r", "")
    assert one.names is not other.names
    assert made(3, ["x"]).names == ["x"]


def test_equal_objects_of_a_frozen_class_have_the_same_hash() -> None:
    """The copy is not frozen, and may be a key nevertheless."""
    made = _made("@dataclass(frozen=True)\nclass Made:\n    a: int\n    b: str = 'x'\n")
    assert {made(1): "found"}[made(1, "x")] == "found"


def test_a_class_that_takes_part_in_its_construction_keeps_its_constructor() -> None:
    """`__post_init__` is called by the generated constructor only."""
    source = "@dataclass(frozen=True)\nclass Made:\n    a: int\n\n    def __post_init__(self) -> None:\n        pass\n"
    assert written_out(source) == source
