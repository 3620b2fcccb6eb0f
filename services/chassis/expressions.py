"""Conditions that operators write in CEL: compiled once, bounded, and never an exception.

What bounds an evaluation: the expression's length and nesting (refused when compiled), what the caller gives it, and CEL itself, which
has no loops over strings and matches regular expressions in linear time. An expression that does not compile, raises, or does not
yield true or false has FAILED: None. The same expression about the same input gives the same answer everywhere.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

import cel

MAX_EXPRESSION_CHARS: Final = 4_000
MAX_NESTING: Final = 40
MAX_COMPREHENSIONS: Final = 3
_MACROS: Final = (".all(", ".exists(", ".exists_one(", ".map(", ".filter(")
_BOUND: Final = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*([A-Za-z_]\w*)\s*,")
"""The name that a comprehension binds; the library counts it among the variables."""

Program = Callable[[Any], object]
Given = TypeVar("Given")


class ExpressionRefused(ValueError):  # noqa: N818 - reads as what happened
    """The expression is too long, too deep, or no CEL. The text is for people."""


class UnknownVariable(ExpressionRefused):
    """The expression is about something that it is not given."""


def compile_expression(source: str, variables: Iterable[str] | None = None) -> Program:
    """A program. Raises ExpressionRefused, with words for the person who wrote the expression; where `variables` are given, it may use no others."""
    if len(source) > MAX_EXPRESSION_CHARS:
        raise ExpressionRefused(f"longer than {MAX_EXPRESSION_CHARS} characters")
    if _nesting(source) > MAX_NESTING:
        raise ExpressionRefused(f"nested deeper than {MAX_NESTING}")
    if sum(source.count(macro) for macro in _MACROS) > MAX_COMPREHENSIONS:
        raise ExpressionRefused(f"more than {MAX_COMPREHENSIONS} comprehensions")
    try:
        program = cel.compile(source)
    except ValueError as error:
        raise ExpressionRefused(str(error)) from error
    if variables is not None:
        known = set(variables)
        if unknown := sorted(set(program.variables()) - known - set(_BOUND.findall(source))):
            raise UnknownVariable(f"uses {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    execute: Program = program.execute
    return execute


class Expressions(Generic[Given]):
    """Expressions by their source text, asked about inputs of one kind. `variables` turns an input into what an expression sees."""

    def __init__(self, sources: Iterable[str], variables: Callable[[Given], Mapping[str, Any]]) -> None:
        self._variables = variables
        self._programs: dict[str, Program] = {}
        self.refused: dict[str, str] = {}
        """Expressions that did not compile, and why."""
        # The expressions about one input are asked one after the other: converting it costs 38 us, asking 1.
        self._given: Given | None = None
        self._context: Any = None
        for source in sources:
            if not source or source in self._programs:
                continue
            try:
                self._programs[source] = compile_expression(source)
            except ExpressionRefused as error:
                self.refused[source] = str(error)

    def holds(self, source: str, given: Given) -> bool | None:
        """Whether an expression is true of an input; None where it fails."""
        program = self._programs.get(source)
        if program is None:
            return None
        try:
            if given is not self._given:
                self._context, self._given = cel.Context(variables=dict(self._variables(given))), given
            result = program(self._context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - whatever an expression raises (a panic of the library's Rust is no Exception), deciding goes on
            return None
        return result if isinstance(result, bool) else None


def _nesting(source: str) -> int:
    """Depth of brackets, and runs of prefix operators, which the parser recurses into as well."""
    depth = deepest = run = 0
    for char in source:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
        if char in "!-":
            run += 1
            deepest = max(deepest, run)
        elif not char.isspace():
            run = 0
    return deepest
