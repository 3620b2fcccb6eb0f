"""Finds the highest possible cost of a CEL expression before the expression is ever evaluated.

The library that evaluates expressions has no limit, so this module proves one: a pass over the expression gives an upper
bound of its steps for any input within the bounds below, which `expressions` enforces on each input. A step is about 0.1 us
on a small machine. An expression that this pass does not understand is refused.

A reference to a variable is free: the library borrows the value. These copy a value with all that it contains, so that their
cost depends on its size:

- a literal list or map copies each element that is a variable, and `.field` copies the field;
- a comprehension copies each element that it walks, and its body is evaluated for each;
- `map` and `filter` copy the element twice into their result, and the whole result at each step;
- `+` copies both operands, and the result grows by the sum;
- an operator of numbers that gets a map or a list converts it for the text of its error, and so does a map as a key;
- a result that is not true or false is converted to Python objects.
"""

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
_EVALUATION: Final = 100
"""Steps that the library takes for any evaluation, and to raise an error in Python."""
_PAIR: Final = 16
"""Half steps of one pair of a map, besides its key and its value: to hash the key and to find a place."""
_NUMBER_TEXT: Final = 400
"""Characters of a number as a text: a double can have 309 digits before the point."""
_HASHED: Final = 64
"""Characters that are hashed, compared or parsed in a step."""
_SAID: Final = 16
"""Characters in a step, of a text that is repeated in an error or converted to a Python object."""
_PER_STEP: Final = {
    **dict.fromkeys(("size", "startsWith", "endsWith", "int", "uint", "double", "bool", "timestamp", "has"), _HASHED),
    # A text that repeats itself is the worst case of the search.
    "contains": 10,
    # Each number in a duration is parsed by itself; the error for an invalid duration repeats the text with escapes.
    "duration": 1,
}
"""Characters in a step, by the function that gives a number, a time, true or false."""
_PROVIDED: Final = {"open": 64}
"""Steps of a call of a function of the caller's. It takes one name as a literal text, and gives true or false."""
_PARTS_OF_TIMES: Final = frozenset(
    {
        *("getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
_TEXTS: Final = frozenset({"string", "bytes"})
_COPYING: Final = frozenset({"map", "filter"})
MACROS: Final = frozenset({"all", "exists", "exists_one", *_COPYING})
_LEVELS: Final = (
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"<", "<=", ">", ">=", "==", "!=", "in"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_COMPARISONS: Final = _LEVELS[2] - {"in"}
_ARITHMETIC: Final = _LEVELS[3] | _LEVELS[4]


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a value can be, and how large its elements can be."""

    items: int = 0
    """Elements of a list, pairs of a map."""
    chars: int = 0
    """Characters of a text, each of up to 4 bytes."""
    total: int = 1
    """Half steps of one copy of the value with all that it contains. To copy a number takes one."""
    inner: "Shape | None" = None
    keyed: bool = False
    """Whether the value can be a map."""

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
            self.keyed or other.keyed,
        )

    def joined(self, other: "Shape") -> "Shape":
        """Return the shape of a value that contains both."""
        inner = self.either(other).inner
        return Shape(
            self.items + other.items, self.chars + other.chars, min(_MOST_STEPS, self.total + other.total), inner
        )


_SCALAR: Final = Shape()


def _text(chars: int) -> Shape:
    return Shape(chars=chars, total=3 + chars // 128)


_ENTRY: Final = _text(MOST_ENTRY_TEXT)
GIVEN: Final = Shape(MOST_ENTRIES, MOST_TEXT, 1 + MOST_ENTRIES * (2 * _ENTRY.total + _PAIR), _ENTRY, keyed=True)
"""A variable: a number, a text, or a list or map of texts."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The highest number of steps, and the names as this pass reads them: the variables used, and those that comprehensions bind."""

    steps: int
    given: frozenset[str]
    bound: frozenset[str]
    functions: frozenset[str]
    asked: frozenset[tuple[str, str]]
    """Calls of functions of the caller's: the function and the name that it is given."""


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
    steps = min(_MOST_STEPS, _EVALUATION + value.cost + _to_python(value.shape))
    return Estimate(
        steps, frozenset(reader.given), frozenset(reader.bound), frozenset(reader.functions), frozenset(reader.asked)
    )


class _Reader:
    """Reads tokens by the grammar of CEL and adds up costs; it keeps only bounds."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._scope: list[tuple[str, Shape]] = []
        self.given: set[str] = set()
        self.bound: set[str] = set()
        self.functions: set[str] = set()
        self.asked: set[tuple[str, str]] = set()

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
        # The library drops pairs of signs, so that `--x` can still be a map.
        return _Value(value.cost + signs, _SCALAR if signs == 1 else value.shape) if signs else value

    def _member(self) -> _Value:
        value = self._primary()
        while True:
            if self._take("."):
                name = self._name()
                called = self._take("(")
                value = self._method(name, value) if called else _field(value)
            elif self._take("["):
                key = self.expression()
                self.expect("]")
                cost = value.cost + key.cost + 1 + _looked_up(key.shape, value.shape)
                value = _Value(cost, value.shape.element)
            else:
                return value

    def _primary(self) -> _Value:
        token = self._tokens[self._at]
        self._at += 1
        match token.kind, token.text:
            case "text", _:
                text = text_of(token.text)
                return _Value(1 + len(text) // _HASHED, _text(len(text)), text)
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
                return _collection(self._separated("]", pairs=False))
            case "sign", "{":
                return _map(self._separated("}", pairs=True))
        raise Unestimable(f"`{token.text[:20]}` not expected here")

    def _variable(self, name: str) -> _Value:
        # The library looks in the scope of each comprehension, from the inside to the outside.
        for depth, (bound, shape) in enumerate(reversed(self._scope)):
            if bound == name:
                return _Value(1 + depth // 2, shape)
        self.given.add(name)
        return _Value(1 + len(self._scope) // 2, GIVEN)

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
        if name in _PROVIDED:
            if target is not None or len(given) != 1 or given[0].text is None:
                raise Unestimable(f"`{name}` needs one name as a literal text")
            self.asked.add((name, given[0].text))
            return _Value(cost + _PROVIDED[name], _SCALAR)
        if name in _PER_STEP or name in _PARTS_OF_TIMES:
            return _Value(cost + chars // _PER_STEP.get(name, _HASHED), _SCALAR)
        if name in _TEXTS:
            most = max(_NUMBER_TEXT, chars)
            return _Value(cost + most // 32, _text(most))
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
        times, element = target.shape.items, target.shape.element
        cost = target.cost + 5 + times * (4 + _copied(element) + sum(body.cost for body in bodies))
        if name not in _COPYING:
            return _Value(min(_MOST_STEPS, cost), _SCALAR)
        inner = element if name == "filter" else bodies[-1].shape
        shape = Shape(times, 0, min(_MOST_STEPS, 1 + times * inner.total), inner)
        # Each step copies the element into a list and from there to the result, and the result twice; it has n/2 elements on average.
        cost += times * inner.total + times * (times + 1) * inner.total // 2
        return _Value(min(_MOST_STEPS, cost), shape)

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


def _field(value: _Value) -> _Value:
    element = value.shape.element
    return _Value(value.cost + 1 + _copied(element), element)


def _collection(values: list[_Value], *, keyed: bool = False) -> _Value:
    items = len(values) // 2 if keyed else len(values)
    inner: Shape | None = None
    for value in values:
        inner = value.shape if inner is None else inner.either(value.shape)
    total = min(_MOST_STEPS, 1 + sum(value.shape.total for value in values) + (items * _PAIR if keyed else 0))
    shape = Shape(items, 0, total, inner, keyed)
    return _Value(min(_MOST_STEPS, sum(value.cost for value in values) + 1 + _copied(shape)), shape)


def _map(values: list[_Value]) -> _Value:
    """Return the map of keys and values in turn."""
    made = _collection(values, keyed=True)
    keys = sum(_looked_up(key.shape, made.shape) for key in values[::2])
    return _Value(min(_MOST_STEPS, made.cost + keys), made.shape)


def _binary(sign: str, left: _Value, right: _Value) -> _Value:
    cost = min(_MOST_STEPS, left.cost + right.cost + 1)
    if sign in _ARITHMETIC:
        # Whichever is more: to join both, or to convert both for the text of the error.
        shape = left.shape.joined(right.shape) if sign == "+" else _SCALAR
        return _Value(cost + left.shape.total + right.shape.total, shape)
    if sign == "in":
        compared = right.shape.items * (1 + _compared(left.shape, right.shape.element))
        return _Value(cost + compared + _looked_up(left.shape, right.shape), _SCALAR)
    return _Value(cost + _compared(left.shape, right.shape) if sign in _COMPARISONS else cost, _SCALAR)


def _copied(shape: Shape) -> int:
    """Return the steps of one copy."""
    return (shape.total + 1) // 2


def _compared(left: Shape, right: Shape) -> int:
    return _copied(left if left.total < right.total else right)


def _looked_up(key: Shape, container: Shape) -> int:
    """Return the steps to hash a key and to repeat it in an error; a key that is a map or a list is copied and converted."""
    return key.chars // _SAID + (key.total if key.items and container.keyed else 0)


def _to_python(shape: Shape) -> int:
    """Return the steps to convert a value to Python objects."""
    elements = shape.items * (2 if shape.keyed else 1)
    return min(_MOST_STEPS, 5 + shape.chars // _SAID + (elements * _to_python(shape.element) if elements else 0))
