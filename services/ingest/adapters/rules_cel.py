"""Conditions of routing rules in CEL, compiled once per version of a configuration.

Variables: `channel`, `account`, `language`, `text`, `text_length`, `person` (attributes, all text), `labels`, `public`.
What bounds an evaluation: the expression's length and nesting (refused when compiled), the text's length (cut by the
core), and CEL itself, which has no loops over strings and matches regular expressions in linear time. An expression that
does not compile, raises, or does not yield true or false is FAILED, never an exception: the core asks the next rule.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import cel

from services.ingest.domain.rules import RuleInput, Verdict

MAX_EXPRESSION_CHARS: Final = 4_000
MAX_NESTING: Final = 40
MAX_COMPREHENSIONS: Final = 3
_MACROS: Final = (".all(", ".exists(", ".exists_one(", ".map(", ".filter(")

_Program = Callable[[Any], object]


class ExpressionRefused(ValueError):  # noqa: N818 - reads as what happened
    """The expression is too long, too deep, or no CEL."""


def compile_expression(source: str) -> _Program:
    """A program. Raises ExpressionRefused, with words for the person who wrote the expression."""
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
    execute: _Program = program.execute
    return execute


class CelConditions:
    """The conditions of one version, by their source text. Implements `domain.rules.Condition`."""

    def __init__(self, sources: Iterable[str]) -> None:
        self._programs: dict[str, _Program] = {}
        self.refused: dict[str, str] = {}
        """Expressions that did not compile, and why."""
        # The rules of one message ask about the same input one after the other: converting it costs 38 us, asking 1.
        self._given: RuleInput | None = None
        self._context: Any = None
        for source in sources:
            if not source or source in self._programs:
                continue
            try:
                self._programs[source] = compile_expression(source)
            except ExpressionRefused as error:
                self.refused[source] = str(error)

    def __call__(self, when: str, given: RuleInput) -> Verdict:
        program = self._programs.get(when)
        if program is None:
            return Verdict.FAILED
        try:
            if given is not self._given:
                self._context, self._given = cel.Context(variables=_variables(given)), given
            result = program(self._context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - whatever an expression raises (a panic of the library's Rust is no Exception), routing goes on
            return Verdict.FAILED
        if result is True:
            return Verdict.HOLDS
        return Verdict.DOES_NOT_HOLD if result is False else Verdict.FAILED


def _variables(given: RuleInput) -> dict[str, Any]:
    return {
        "channel": given.channel,
        "account": given.account,
        "language": given.language,
        "text": given.text,
        "text_length": given.text_length,
        "person": dict(given.person),
        "labels": dict(given.labels),
        "public": given.public,
    }


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
