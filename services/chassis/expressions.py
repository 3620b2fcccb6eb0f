"""Conditions that operators write in CEL: compiled once, bounded, and evaluated without raising an exception.

These bound an evaluation: the expression's length and nesting; a proved bound of its steps (`expression_cost`), which is checked when it is
compiled; and the size of the input, which is cut here to the size that the proof assumes. All expressions of one configuration that are
evaluated for one input also have a common bound. An expression that is refused, raises, or does not return true or false has FAILED:
None. The same expression for the same input gives the same result everywhere.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

import cel

from services.chassis.expression_cost import MOST_ENTRIES, MOST_ENTRY_TEXT, MOST_TEXT, Estimate, estimate
from services.chassis.expression_tokens import Unestimable

MAX_EXPRESSION_CHARS: Final = 4_000
MAX_NESTING: Final = 40
MOST_STEPS: Final = 100_000
"""Limit for one expression; about 10 ms on a small machine."""
MOST_STEPS_TOGETHER: Final = 400_000
"""Limit for all expressions that are evaluated for one input; about 40 ms."""
MOST_CHARS_TOGETHER: Final = 40_000
"""Compiling takes up to 2 us a character."""

Program = Callable[[Any], object]
Functions = Mapping[str, Callable[[str], bool]]
"""Functions that an expression can call with a name."""
Given = TypeVar("Given")


class ExpressionRefused(ValueError):  # noqa: N818 - reads as what happened
    """The expression is too long, too deep, or not CEL. The text is for people."""


class UnknownVariable(ExpressionRefused):
    """The expression uses a variable that it is not given."""


class TooCostly(ExpressionRefused):
    """The expression could take longer than messages may wait."""


def compile_expression(source: str, variables: Iterable[str] | None = None, functions: Collection[str] = ()) -> Program:
    """Return a program. Raises ExpressionRefused, with a text for the author; if `variables` are given, it may use no others, and no
    functions of the caller's but `functions`."""
    program, _ = _compiled(source, variables, functions)
    return program


def names_asked(source: str, function: str) -> frozenset[str]:
    """Return the names with which an expression calls a function of the caller's. Raises ExpressionRefused."""
    return frozenset(name for called, name in _estimated(source).asked if called == function)


def steps_of(source: str) -> int:
    """Return the highest number of steps that an evaluation can take. Raises ExpressionRefused."""
    return _estimated(source).steps


def _compiled(source: str, variables: Iterable[str] | None, functions: Collection[str]) -> tuple[Program, int]:
    estimated = _estimated(source)
    try:
        program = cel.compile(source)
    except ValueError as error:
        raise ExpressionRefused(str(error)) from error
    if not _same_names(program, estimated):
        raise ExpressionRefused("its cost cannot be estimated: parts of it can be read in two ways")
    if variables is not None:
        known = set(variables)
        if unknown := sorted(estimated.given - known):
            raise UnknownVariable(f"uses {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        if foreign := sorted({called for called, _ in estimated.asked} - set(functions)):
            raise UnknownVariable(f"calls {', '.join(foreign)}, which is not known here")
    execute: Program = program.execute
    return execute, estimated.steps


def _estimated(source: str) -> Estimate:
    if len(source) > MAX_EXPRESSION_CHARS:
        raise ExpressionRefused(f"longer than {MAX_EXPRESSION_CHARS} characters")
    if _nesting(source) > MAX_NESTING:
        raise ExpressionRefused(f"nested deeper than {MAX_NESTING}")
    try:
        estimated = estimate(source)
    except Unestimable as error:
        raise ExpressionRefused(f"its cost cannot be estimated: {error}") from error
    if estimated.steps > MOST_STEPS:
        raise TooCostly(
            f"can take {estimated.steps} steps for one message, more than {MOST_STEPS}:"
            " use fewer comprehensions inside each other, shorter lists, or a simpler pattern"
        )
    return estimated


def _no_functions(_given: object) -> Functions:
    return {}


class Expressions(Generic[Given]):
    """Expressions by their source text, evaluated for inputs of one type. `variables` turns an input into the expression's variables,
    `functions` into functions that never raise."""

    def __init__(
        self,
        sources: Iterable[str],
        variables: Callable[[Given], Mapping[str, Any]],
        functions: Callable[[Given], Functions] = _no_functions,
    ) -> None:
        self._variables = variables
        self._functions = functions
        self._programs: dict[str, Program] = {}
        self.refused: dict[str, str] = {}
        """Expressions that did not compile or cost too much, and the reason."""
        # The expressions for one input are evaluated one after the other: converting it costs 38 us, evaluating 1 us.
        self._given: Given | None = None
        self._context: Any = None
        together = Together()
        for source in sources:
            if not source or source in self._programs or source in self.refused:
                continue
            try:
                self._programs[source] = together.add(source)
            except ExpressionRefused as error:
                self.refused[source] = str(error)

    def holds(self, source: str, given: Given) -> bool | None:
        """Return whether an expression is true for an input; None if it fails."""
        program = self._programs.get(source)
        if program is None:
            return None
        try:
            if given is not self._given:
                variables = {name: bounded(value) for name, value in self._variables(given).items()}
                self._context = cel.Context(variables=variables, functions=dict(self._functions(given)))
                self._given = given
            result = program(self._context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - a panic of the library's Rust code is not an Exception; deciding must continue
            return None
        return result if isinstance(result, bool) else None


class Together:
    """The common bound of the expressions of one configuration, in the order of the configuration."""

    def __init__(self) -> None:
        self._steps = 0
        self._chars = 0
        self._known: dict[str, Program] = {}

    def add(self, source: str, variables: Iterable[str] | None = None, functions: Collection[str] = ()) -> Program:
        """Return a program; each source counts once. Raises ExpressionRefused; TooCostly if the earlier expressions leave too few steps."""
        if (known := self._known.get(source)) is not None:
            return known
        if self._chars + len(source) > MOST_CHARS_TOGETHER:
            raise TooCostly(
                f"exceeds the {MOST_CHARS_TOGETHER} characters of all conditions together: shorten or remove some"
            )
        program, steps = _compiled(source, variables, functions)
        if self._steps + steps > MOST_STEPS_TOGETHER:
            raise TooCostly(
                f"can take {steps} steps for one message, and those before it {self._steps}; all together may take"
                f" {MOST_STEPS_TOGETHER}: simplify or remove some"
            )
        self._chars += len(source)
        self._steps += steps
        self._known[source] = program
        return program


def bounded(value: Any) -> Any:
    """Return a variable's value within the sizes that estimates assume.

    Longer texts are cut, longer lists keep their first elements, larger maps their first names.
    """
    if isinstance(value, str):
        return value[:MOST_TEXT]
    if isinstance(value, list | tuple):
        return [element[:MOST_ENTRY_TEXT] for element in value[:MOST_ENTRIES]]
    if not isinstance(value, Mapping):
        return value
    names = sorted(value)[:MOST_ENTRIES] if len(value) > MOST_ENTRIES else value
    return {name[:MOST_ENTRY_TEXT]: value[name][:MOST_ENTRY_TEXT] for name in names}


def _same_names(program: Any, estimated: Estimate) -> bool:
    """Return whether the library read the same names as the estimate: this detects a text that hides code from one of them."""
    variables = set(program.variables())
    functions = {name for name in program.functions() if name.isidentifier()}
    return variables | estimated.bound == estimated.given | estimated.bound and functions == estimated.functions - {
        "has"
    }


def _nesting(source: str) -> int:
    """Return the depth of brackets, plus runs of prefix operators, which the parser recurses into as well."""
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
