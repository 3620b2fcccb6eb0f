"""Whether an agent's skills meet requirements, and how well."""

from collections.abc import Iterable, Mapping
from math import exp

from services.router.domain.model import Operator, Selector

Skills = Mapping[str, float]

_SYMBOLS = {
    Operator.UNSPECIFIED: ">=",
    Operator.EQUAL: "=",
    Operator.NOT_EQUAL: "!=",
    Operator.LESS: "<",
    Operator.AT_MOST: "<=",
    Operator.GREATER: ">",
    Operator.AT_LEAST: ">=",
    Operator.IN: "in",
    Operator.HAS: "has",
}


def describe(selector: Selector) -> str:
    """The requirement as people write it: `persian >= 5`."""
    if selector.operator is Operator.HAS:
        return f"has {selector.attribute}"
    if selector.operator is Operator.IN:
        return f"{selector.attribute} in ({', '.join(selector.texts)})"
    right = selector.text or f"{selector.number:g}"
    return f"{selector.attribute} {_SYMBOLS[selector.operator]} {right}"


def meets(selector: Selector, skills: Skills) -> bool:
    """Whether skills satisfy one selector. What an agent lacks satisfies nothing but `!=`."""
    operator = selector.operator
    attribute = selector.attribute
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


def meets_all(selectors: Iterable[Selector], skills: Skills) -> bool:
    """Whether skills satisfy all selectors."""
    return all(meets(selector, skills) for selector in selectors)


def score(selectors: Iterable[Selector], skills: Skills) -> float:
    """How well skills exceed what is required, 0 to 1: the weighted mean of sigmoid((value - required) / required), sign turned round
    for `<` and `<=`; a label, and a number that must be equal, count 1 when they match. (Azure Communication Services, best worker mode.)
    Without selectors 1."""
    total = weights = 0.0
    for selector in selectors:
        weight = selector.weight or 1.0
        weights += weight
        total += weight * _part(selector, skills)
    return total / weights if weights else 1.0


def _part(selector: Selector, skills: Skills) -> float:
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
    if selector.operator in (Operator.LESS, Operator.AT_MOST):
        excess = -excess
    return 1.0 / (1.0 + exp(-max(-50.0, min(50.0, excess))))


def active(selectors: Iterable[Selector], age_ms: int) -> tuple[Selector, ...]:
    """The selectors that still count for work that was enqueued `age_ms` ago."""
    return tuple(s for s in selectors if not s.expires_after_ms or age_ms < s.expires_after_ms)


def next_expiry(selectors: Iterable[Selector], age_ms: int) -> int | None:
    """The age at which the next of them stops counting; None when none will."""
    return min((s.expires_after_ms for s in selectors if s.expires_after_ms > age_ms), default=None)
