"""Check whether an agent's skills meet requirements, and score how well."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import exp, isfinite

from services.policy.model.routing import Operator, Ring, Selector

Skills = Mapping[str, float]

SYMBOLS = {
    Operator.UNSPECIFIED: ">=",
    Operator.EQUAL: "=",
    Operator.NOT_EQUAL: "!=",
    Operator.LESS: "<",
    Operator.AT_MOST: "<=",
    Operator.GREATER: ">",
    Operator.AT_LEAST: ">=",
}

LOWERABLE = (Operator.UNSPECIFIED, Operator.AT_LEAST, Operator.GREATER)
"""Comparisons that become easier when the number decreases."""


def describe(selector: Selector) -> str:
    """Return the requirement in readable form: `persian >= 5`."""
    if selector.any_of:
        return f"({' or '.join(describe(s) for s in selector.any_of)})"
    if selector.all_of:
        return f"({' and '.join(describe(s) for s in selector.all_of)})"
    if selector.operator is Operator.HAS:
        return f"has {selector.attribute}"
    if selector.operator is Operator.IN:
        return f"{selector.attribute} in ({', '.join(selector.texts)})"
    right = selector.text or f"{selector.number:g}"
    return f"{selector.attribute} {SYMBOLS[selector.operator]} {right}"


def meets(selector: Selector, skills: Skills) -> bool:
    """Whether skills meet one selector. A skill that the agent does not have meets only `!=`."""
    operator = selector.operator
    attribute = selector.attribute
    if operator is Operator.AT_LEAST and not selector.text and not selector.any_of and not selector.all_of:
        value = skills.get(attribute)  # the usual case, and the only one that must be fast
        return value is not None and value >= selector.number
    if selector.any_of:
        return any(meets(s, skills) for s in selector.any_of)
    if selector.all_of:
        return all(meets(s, skills) for s in selector.all_of)
    if operator is Operator.HAS:
        return attribute in skills or any(name.startswith(f"{attribute}=") for name in skills)
    if operator is Operator.IN:
        return any(f"{attribute}={text}" in skills for text in selector.texts)
    if selector.text:
        has = f"{attribute}={selector.text}" in skills
        return not has if operator is Operator.NOT_EQUAL else has
    value = skills.get(attribute)
    if value is None:
        return operator is Operator.NOT_EQUAL
    number = selector.number
    match operator:
        case Operator.EQUAL:
            return value == number
        case Operator.NOT_EQUAL:
            return value != number
        case Operator.LESS:
            return value < number
        case Operator.AT_MOST:
            return value <= number
        case Operator.GREATER:
            return value > number
        case _:
            return value >= number


def sorted_out(selectors: Iterable[Selector]) -> tuple[list[tuple[str, float]], list[Selector]]:
    """Split selectors into those that require at least a number of a skill, as pairs, and all others.

    This makes it fast to compare a new requirement set with every agent group.
    """
    least: list[tuple[str, float]] = []
    rest: list[Selector] = []
    for s in selectors:
        if s.operator is Operator.AT_LEAST and not s.text and not s.any_of and not s.all_of and isfinite(s.number):
            least.append((s.attribute, s.number))
        else:
            rest.append(s)
    return least, rest


def meets_all(selectors: Iterable[Selector], skills: Skills) -> bool:
    """Whether skills meet all selectors."""
    for selector in selectors:  # noqa: SIM110 - checked for every agent group and new requirement set, and `all` takes twice as long
        if not meets(selector, skills):
            return False
    return True


def score(selectors: Iterable[Selector], skills: Skills) -> float:
    """Return how well skills exceed the requirements, 0 to 1; without selectors 1.

    It is the weighted mean of sigmoid((value - required) / required), with the sign reversed for `<` and `<=`. A label, and a number that must
    be equal, count 1 when they match. An or-group counts as its best member, an and-group as the mean of its members. (Azure Communication
    Services, best worker mode.)
    """
    total = weights = 0.0
    for selector in selectors:
        weight = selector.weight if selector.weight > 0 and isfinite(selector.weight) else 1.0
        weights += weight
        total += weight * _part(selector, skills)
    return total / weights if weights else 1.0


def _part(selector: Selector, skills: Skills) -> float:
    if selector.any_of:
        return max(_part(s, skills) for s in selector.any_of)
    if selector.all_of:
        return score(selector.all_of, skills) if meets(selector, skills) else 0.0
    if not meets(selector, skills):
        return 0.0
    value = skills.get(selector.attribute)
    if (
        value is None
        or selector.text
        or selector.operator in (Operator.HAS, Operator.IN, Operator.EQUAL, Operator.NOT_EQUAL)
    ):
        return 1.0
    excess = (value - selector.number) / (abs(selector.number) or 1.0)
    if not isfinite(excess):
        return 1.0
    if selector.operator in (Operator.LESS, Operator.AT_MOST):
        excess = -excess
    return 1.0 / (1.0 + exp(-max(-50.0, min(50.0, excess))))


@dataclass(frozen=True, slots=True)
class _Widening:
    """The combined effect of the rings reached so far."""

    dropped: frozenset[str]
    lowered: Mapping[str, float]


def _widening(rings: Iterable[Ring], age_ms: int) -> _Widening | None:
    dropped: set[str] = set()
    lowered: dict[str, float] = {}
    for ring in rings:
        if ring.after_ms <= age_ms:
            dropped.update(ring.drop)
            for attribute, number in ring.lower:
                lowered[attribute] = min(number, lowered.get(attribute, number))
    return _Widening(frozenset(dropped), lowered) if dropped or lowered else None


def _widened(s: Selector, by: _Widening) -> Selector | None:
    """Return a selector as the rings change it; None when it is no longer required. A dropped member of an or-group satisfies the group."""
    if s.any_of:
        members = [_widened(member, by) for member in s.any_of]
        return None if None in members else replace(s, any_of=tuple(m for m in members if m is not None))
    if s.all_of:
        left = tuple(m for member in s.all_of if (m := _widened(member, by)) is not None)
        return replace(s, all_of=left) if left else None
    if s.attribute in by.dropped:
        return None
    if s.operator in LOWERABLE and not s.text:
        number = by.lowered.get(s.attribute, s.number)
        if number < s.number:
            return replace(s, number=number)
    return s


def requirements_at(selectors: Iterable[Selector], rings: Iterable[Ring], age_ms: int) -> tuple[Selector, ...]:
    """Return the requirements of an interaction that entered its queue `age_ms` ago.

    Selectors that expired or were dropped are left out, and relaxed ones have their present numbers. Times are stripped, so that sets
    of equal requirements are equal.
    """
    widening = _widening(rings, age_ms) if rings else None
    found = []
    for s in selectors:
        if s.expires_after_ms or s.steps:
            if s.expires_after_ms and age_ms >= s.expires_after_ms:
                continue
            s = replace(s, number=_stepped(s, age_ms), expires_after_ms=0, steps=())
        if widening is not None:
            widened = _widened(s, widening)
            if widened is None:
                continue
            s = widened
        found.append(s)
    return tuple(found)


def _stepped(s: Selector, age_ms: int) -> float:
    return next((number for after_ms, number in reversed(s.steps) if after_ms <= age_ms), s.number)


def served_too(rings: Iterable[Ring], age_ms: int) -> tuple[str, ...]:
    """Return the other queues whose agents may take it by now."""
    return tuple(sorted({queue for ring in rings if ring.after_ms <= age_ms for queue in ring.queues}))


def change_times(selectors: Iterable[Selector], rings: Iterable[Ring]) -> list[int]:
    """Return the ages at which `needed` or `served_too` change, rising."""
    times = {ring.after_ms for ring in rings}
    for s in selectors:
        times.add(s.expires_after_ms)
        times.update(after_ms for after_ms, _ in s.steps)
    return sorted(times - {0})


def carried_over(selectors: Iterable[Selector], rings: Iterable[Ring], age_ms: int) -> tuple[Selector, ...]:
    """Return an interaction's own requirements when it moves to another queue, whose clock starts at zero.

    They are as relaxed as they are now, by themselves and by the old queue's rings, and keep the time until their next relaxations. None of
    these relaxations raises a requirement again.
    """
    widening = _widening(rings, age_ms)
    found = []
    for s in selectors:
        if s.expires_after_ms and age_ms >= s.expires_after_ms:
            continue
        expires = s.expires_after_ms - age_ms if s.expires_after_ms else 0
        later = tuple((after_ms - age_ms, number) for after_ms, number in s.steps if after_ms > age_ms)
        moved: Selector | None = replace(s, number=_stepped(s, age_ms), expires_after_ms=expires, steps=())
        if moved is not None and widening is not None:
            moved = _widened(moved, widening)
        if moved is None:
            continue
        if later:
            lowered = moved.number != _stepped(s, age_ms)
            steps = tuple((at, min(number, moved.number)) for at, number in later) if lowered else later
            moved = replace(moved, steps=steps)
        found.append(moved if moved != s else s)
    return tuple(found)
