"""The highest possible cost of matching a regular expression, in the steps of `expression_cost`.

The matcher is linear in the text, but it compiles the pattern at each use: `\\w{100}` takes 20 ms although its text is
short. So each part has the weight that was measured for compiling it, repetitions multiply, and the text counts by the states.
"""

import re
from dataclasses import dataclass
from typing import Final

from services.chassis.expression_tokens import Unestimable

MOST_PATTERN: Final = 1_000
_BASE: Final = 200
_BOUND: Final = 300
_LETTER, _GROUP_OPENS, _WIDE_LETTER, _CLASS, _RANGE, _NOT_RANGE, _UNICODE = 4, 90, 300, 300, 1_000, 1_400, 4_300
_CASELESS_LETTER: Final = 85
"""A letter in a pattern with the flag i; a wide one that has two cases takes as long as in a class."""
_CASELESS: Final = 4
_BOUNDARY: Final = re.compile(r"\\[bB]")
_MOST: Final = 10**9
_COUNT: Final = re.compile(r"\{\s*([0-9]{0,6})\s*(,?)\s*([0-9]{0,6})\s*\}")
_FLAGS: Final = re.compile(r"\(\?([a-zA-Z-]+)[:)]")
_SWITCH: Final = re.compile(r"\(\?[a-zA-Z-]+\)")
_GROUP: Final = re.compile(r"\?(?:P?<[A-Za-z_][A-Za-z0-9_.\[\]]*>|[a-zA-Z-]*:)")
_PROPERTY: Final = re.compile(r"[pP](?:\{[^{}]*\}|.)", re.DOTALL)


@dataclass(slots=True)
class _Weight:
    compiled: int = 0
    states: int = 0

    def add(self, other: "_Weight") -> None:
        self.compiled = min(_MOST, self.compiled + other.compiled)
        self.states = min(_MOST, self.states + other.states)

    def times(self, count: int) -> "_Weight":
        return _Weight(min(_MOST, self.compiled * count), min(_MOST, self.states * count))


def pattern_cost(pattern: str, chars: int) -> int:
    """Return the highest number of steps for a text of `chars` characters. Raises Unestimable."""
    if len(pattern) > MOST_PATTERN:
        raise Unestimable(f"a pattern is longer than {MOST_PATTERN} characters")
    flags = "".join(_FLAGS.findall(pattern))
    if "x" in flags:
        raise Unestimable("a pattern with the flag x is not understood")
    weight = _weigh(pattern, caseless="i" in flags)
    scanned = chars // 12 + chars * weight.states // 56
    if _BOUNDARY.search(pattern):
        # The fast matcher has no boundaries of words outside ASCII; the slow one visits each state at each character.
        scanned += chars * (10 + weight.states) // 4
    return _BASE + weight.compiled + scanned


def _weigh(pattern: str, *, caseless: bool) -> _Weight:
    groups = [_Weight()]
    last = _Weight()
    at = 0
    while at < len(pattern):
        char = pattern[at]
        count = _COUNT.match(pattern, at)
        switch = _SWITCH.match(pattern, at)
        if switch is not None:
            at = switch.end()
        elif char == "|":
            groups[-1].add(last)
            last, at = _Weight(_LETTER, 0), at + 1
        elif char == "(":
            groups[-1].add(last)
            groups.append(_Weight(_GROUP_OPENS, 1))
            last = _Weight()
            inside = _GROUP.match(pattern, at + 1)
            at = inside.end() if inside is not None else at + 1
        elif char == ")":
            groups[-1].add(last)
            if len(groups) == 1:
                raise Unestimable("a pattern closes a group that it never opened")
            last = groups.pop()
            at += 1
        elif count is not None:
            last = last.times(1 + max(int(count.group(1) or 0), int(count.group(3) or 0)))
            at = count.end()
        elif char in "*+?":
            last = _Weight(last.compiled, last.states * 2) if char == "+" else last
            at += 1
        else:
            groups[-1].add(last)
            last, at = _atom(pattern, at, caseless=caseless)
    if len(groups) != 1:
        raise Unestimable("a pattern leaves a group open")
    groups[-1].add(last)
    return groups[-1]


def _atom(pattern: str, at: int, *, caseless: bool) -> tuple[_Weight, int]:
    char = pattern[at]
    if char == "[":
        weight, end = _class(pattern, at)
        return _Weight(weight.compiled * _CASELESS + _WIDE_LETTER if caseless else weight.compiled, weight.states), end
    if char == "\\":
        weight, end = _escape(pattern, at)
        return _Weight(weight.compiled * (_CASELESS if caseless else 1), weight.states), end
    if char == ".":
        return _Weight(_CLASS, 4), at + 1
    return _Weight(_letter(char) if caseless else _LETTER, 1), at + 1


def _letter(char: str) -> int:
    cased = {char.lower(), char.upper(), char.casefold()} != {char}
    return _WIDE_LETTER if cased and not char.isascii() else _CASELESS_LETTER


def _escape(pattern: str, at: int) -> tuple[_Weight, int]:
    named = _PROPERTY.match(pattern, at + 1)
    if named is not None:
        return _Weight(_UNICODE, 20), named.end()
    kind = pattern[at + 1 : at + 2]
    if kind in ("w", "W"):
        return _Weight(_UNICODE, 20), at + 2
    if kind and kind in "dDsS":
        return _Weight(_RANGE if kind.islower() else _NOT_RANGE, 10), at + 2
    return _Weight(_BOUND if kind and kind in "bB" else 10, 1), at + 2


def _class(pattern: str, at: int) -> tuple[_Weight, int]:
    """Weigh a class in brackets. Classes in classes are refused, because their end is uncertain."""
    at += 1
    negated = pattern.startswith("^", at)
    weight = _Weight(_CLASS, 4) if negated else _Weight(_LETTER, 1)
    at += negated
    if pattern.startswith("]", at):
        raise Unestimable(r"a class in a pattern begins with `]`: write `\]`")
    while at < len(pattern):
        if pattern[at] == "]":
            return weight, at + 1
        if pattern[at] == "[":
            named = re.compile(r"\[:\^?[a-z]+:\]").match(pattern, at)
            if named is None:
                raise Unestimable(r"a class in a pattern contains `[`: write `\[`")
            weight.add(_Weight(_RANGE, 2))
            at = named.end()
        elif pattern[at] == "\\":
            inner, at = _escape(pattern, at)
            weight.add(inner)
        else:
            weight.add(_Weight(_LETTER, 0) if pattern[at].isascii() else _Weight(_WIDE_LETTER, 1))
            at += 1
    raise Unestimable("a class in a pattern has no end")
