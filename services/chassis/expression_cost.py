"""Finds the highest possible cost of a CEL expression before the expression is ever evaluated.

The library that evaluates expressions has no limit, so this module proves one: a pass over the expression gives an upper
bound of its steps for any input within the bounds below, which `expressions` enforces on each input. A comprehension costs
its body times the size of the collection it walks; `map` and `filter` copy their result at each step; a text or list that
is joined grows by the sum. An expression that this pass does not understand is refused. A step is about 0.1 us on a small machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.chassis.expression_tokens import Token, Unestimable, text_of, tokens
from services.chassis.pattern_cost import pattern_cost

MOST_TEXT: Final = 4_000
"""Characters of an input text."""
MOST_ENTRIES: Final = 64
"""Entries of an input map or list."""
MOST_ENTRY_TEXT: Final = 256
"""Characters of a key or value in a map or list."""
_MOST_STEPS: Final = 10**12
_SCALARS: Final = frozenset(
    ("size", "contains", "startsWith", "endsWith", "int", "uint", "double", "bool", "timestamp", "duration", "has")
)
_PARTS_OF_TIMES: Final = frozenset(
    {
        *("getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
_TEXTS: Final = frozenset({"string", "bytes"})
_CHOICES: Final = frozenset({"min", "max"})
_COPYING: Final = frozenset({"map", "filter"})
MACROS: Final = frozenset({"all", "exists", "exists_one", *_COPYING})
_LEVELS: Final = (
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"<", "<=", ">", ">=", "==", "!=", "in"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a value can be: elements, characters, steps to walk all of it; and how large its elements can be."""

    items: int = 0
    chars: int = 0
    total: int = 1
    inner: "Shape | None" = None

    @property
    def element(self) -> "Shape":
        """The shape of a key, a field or an element of the value."""
        return self.inner if self.inner is not None else _SCALAR

    def either(self, other: "Shape") -> "Shape":
        """Return the shape of a value that is one of two."""
        return Shape(
            max(self.items, other.items),
            max(self.chars, other.chars),
            max(self.total, other.total),
            self.element.either(other.element) if self.inner is not None or other.inner is not None else None,
        )

    def joined(self, other: "Shape") -> "Shape":
        """Return the shape of a value that contains both."""
        inner = self.either(other).inner
        return Shape(
            self.items + other.items, self.chars + other.chars, min(_MOST_STEPS, self.total + other.total), inner
        )


_SCALAR: Final = Shape()
_ENTRY: Final = Shape(chars=MOST_ENTRY_TEXT, total=1 + MOST_ENTRY_TEXT // 32)
GIVEN: Final = Shape(MOST_ENTRIES, MOST_TEXT, 1 + 2 * MOST_ENTRIES * _ENTRY.total, _ENTRY)
"""A variable: a number, a text, or a map of texts."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The highest number of steps, and the names as this pass reads them: the variables used, and those that comprehensions bind."""

    steps: int
    given: frozenset[str]
    bound: frozenset[str]
    functions: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Value:
    cost: int
    shape: Shape
    text: str | None = None
    """The value of a literal."""


def estimate(source: str) -> Estimate:
    """Return the bound of an expression. Raises Unestimable if it is not understood. The caller must bound the nesting."""
    reader = _Reader(tokens(source))
    value = reader.expression()
    reader.expect("end")
    # A result that is not true or false is converted to Python objects before it is discarded.
    steps = value.cost + value.shape.total
    return Estimate(steps, frozenset(reader.given), frozenset(reader.bound), frozenset(reader.functions))


class _Reader:
    """Reads tokens by the grammar of CEL and adds up costs; it keeps only bounds."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._scope: list[tuple[str, Shape]] = []
        self.given: set[str] = set()
        self.bound: set[str] = set()
        self.functions: set[str] = set()

    def expression(self) -> _Value:
        """Read a whole expression, with its conditionals."""
        cost, shape = 0, None
        while True:
            value = self._level(0)
            if not self._take("?"):
                break
            chosen = self._level(0)
            self.expect(":")
            cost += value.cost + chosen.cost + 1
            shape = chosen.shape if shape is None else shape.either(chosen.shape)
        if shape is None:
            return value
        return _Value(cost + value.cost, shape.either(value.shape))

    def expect(self, sign: str) -> None:
        """Check that the next token is this sign."""
        if not self._take(sign):
            raise Unestimable(f"`{sign}` expected, not `{self._tokens[self._at].text[:20]}`")

    def _level(self, level: int) -> _Value:
        if level == len(_LEVELS):
            return self._unary()
        left = self._level(level + 1)
        while self._tokens[self._at].kind == "sign" and self._tokens[self._at].text in _LEVELS[level]:
            sign = self._tokens[self._at].text
            self._at += 1
            right = self._level(level + 1)
            left = _binary(sign, left, right)
        return left

    def _unary(self) -> _Value:
        signs = 0
        while self._take("!") or self._take("-"):
            signs += 1
        value = self._member()
        return _Value(value.cost + signs, value.shape, None if signs else value.text)

    def _member(self) -> _Value:
        value = self._primary()
        while True:
            if self._take("."):
                name = self._name()
                called = self._take("(")
                value = self._method(name, value) if called else _Value(value.cost + 1, value.shape.element)
            elif self._take("["):
                key = self.expression()
                self.expect("]")
                value = _Value(value.cost + key.cost + 1 + key.shape.chars // 64, value.shape.element)
            else:
                return value

    def _primary(self) -> _Value:
        token = self._tokens[self._at]
        self._at += 1
        match token.kind, token.text:
            case "text", _:
                text = text_of(token.text)
                return _Value(1, Shape(chars=len(text), total=1 + len(text) // 32), text)
            case "number", _:
                return _Value(1, _SCALAR)
            case "name", "true" | "false" | "null":
                return _Value(1, _SCALAR)
            case "name", name:
                return self._call(name, None) if self._take("(") else self._variable(name)
            case "sign", "(":
                value = self.expression()
                self.expect(")")
                return value
            case "sign", "[":
                return self._collection(self._separated("]", pairs=False))
            case "sign", "{":
                return self._collection(self._separated("}", pairs=True))
        raise Unestimable(f"`{token.text[:20]}` not expected here")

    def _variable(self, name: str) -> _Value:
        for bound, shape in reversed(self._scope):
            if bound == name:
                return _Value(1, shape)
        self.given.add(name)
        return _Value(1, GIVEN)

    def _collection(self, values: list[_Value]) -> _Value:
        inner: Shape | None = None
        for value in values:
            inner = value.shape if inner is None else inner.either(value.shape)
        total = min(_MOST_STEPS, 1 + sum(value.shape.total for value in values))
        return _Value(1 + sum(value.cost for value in values), Shape(len(values), 0, total, inner))

    def _separated(self, end: str, *, pairs: bool) -> list[_Value]:
        values: list[_Value] = []
        while not self._take(end):
            values.append(self.expression())
            if pairs:
                self.expect(":")
                values.append(self.expression())
            if not self._take(","):
                self.expect(end)
                break
        return values

    def _method(self, name: str, target: _Value) -> _Value:
        return self._comprehension(name, target) if name in MACROS else self._call(name, target)

    def _call(self, name: str, target: _Value | None) -> _Value:
        self.functions.add(name)
        arguments = self._separated(")", pairs=False)
        given = arguments if target is None else [target, *arguments]
        cost = 1 + sum(each.cost for each in given)
        chars = sum(each.shape.chars for each in given)
        if name == "matches":
            if len(given) != 2 or given[1].text is None:
                raise Unestimable("`matches` needs its pattern as a literal text")
            return _Value(cost + pattern_cost(given[1].text, given[0].shape.chars), _SCALAR)
        if name in _SCALARS or name in _PARTS_OF_TIMES:
            return _Value(cost + chars // 64, _SCALAR)
        if name in _TEXTS:
            most = max(64, chars)
            return _Value(cost + most // 16, Shape(chars=most, total=1 + most // 32))
        if name in _CHOICES:
            shape = _SCALAR
            for each in given:
                shape = shape.either(each.shape).either(each.shape.element)
            return _Value(cost + sum(each.shape.total for each in given), shape)
        raise Unestimable(f"there is no function `{name}`")

    def _comprehension(self, name: str, target: _Value) -> _Value:
        variable = self._name()
        self.expect(",")
        self.bound.add(variable)
        self._scope.append((variable, target.shape.element))
        bodies = [self.expression()]
        if name == "map" and self._take(","):
            bodies.append(self.expression())
        self._scope.pop()
        self.expect(")")
        times = target.shape.items
        cost = target.cost + 5 + times * (4 + sum(body.cost for body in bodies))
        if name not in _COPYING:
            return _Value(min(_MOST_STEPS, cost), _SCALAR)
        inner = target.shape.element if name == "filter" else bodies[-1].shape
        shape = Shape(times, 0, min(_MOST_STEPS, 1 + times * inner.total), inner)
        return _Value(min(_MOST_STEPS, cost + times * times // 2), shape)

    def _name(self) -> str:
        token = self._tokens[self._at]
        if token.kind != "name":
            raise Unestimable(f"a name expected, not `{token.text[:20]}`")
        self._at += 1
        return token.text

    def _take(self, sign: str) -> bool:
        token = self._tokens[self._at]
        if token.kind == ("end" if sign == "end" else "sign") and (sign == "end" or token.text == sign):
            self._at += sign != "end"
            return True
        return False


def _binary(sign: str, left: _Value, right: _Value) -> _Value:
    cost = min(_MOST_STEPS, left.cost + right.cost + 1)
    if sign == "+":
        shape = left.shape.joined(right.shape)
        return _Value(cost + shape.items + shape.chars // 32, shape)
    if sign == "in":
        return _Value(cost + right.shape.total + left.shape.chars // 64, _SCALAR)
    return _Value(cost + _COMPARED[sign](left.shape, right.shape) if sign in _COMPARED else cost, _SCALAR)


def _smaller(left: Shape, right: Shape) -> int:
    return min(left.total, right.total)


_COMPARED: Final[dict[str, Callable[[Shape, Shape], int]]] = dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), _smaller)
