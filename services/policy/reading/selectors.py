"""Convert requirements to the domain and back."""

from collections.abc import Iterable
from typing import Final

from chapar.common.v1 import types_pb2
from services.policy.model.routing import Operator, Selector
from services.policy.reading.numbers import duration, finite, positive

DEEPEST: Final = 3
"""The greatest depth of nested groups."""


def to_selectors(selectors: Iterable[types_pb2.Selector]) -> tuple[Selector, ...]:
    """Return requirements.

    Raises ValueError for an invalid one: neither attribute nor group, or both kinds of group; groups deeper than DEEPEST; an unknown operator;
    steps out of order; NaN or infinity.
    """
    return tuple(_selector(s, DEEPEST) for s in selectors)


def _selector(s: types_pb2.Selector, levels: int) -> Selector:
    group = bool(s.any_of) + bool(s.all_of)
    if group > 1 or bool(group) == bool(s.attribute):
        raise ValueError("a requirement needs one of: attribute, any_of, all_of")
    if group and not levels:
        raise ValueError(f"requirements are grouped more than {DEEPEST} levels deep")
    what = f"requirement {s.attribute or ('any_of' if s.any_of else 'all_of')}"
    if not 0 <= s.operator <= Operator.HAS:
        raise ValueError(f"{what}: operator {s.operator} is not known")
    steps = tuple((duration(step.after_ms, what), finite(step.number, what)) for step in s.steps)
    if any(later[0] <= earlier[0] for earlier, later in zip(((0, 0.0), *steps), steps, strict=False)):
        raise ValueError(f"{what}: steps must follow each other in time, after 0")
    return Selector(
        s.attribute,
        Operator(s.operator) if s.operator else Operator.AT_LEAST,
        finite(s.number, what),
        s.text,
        tuple(s.texts),
        duration(s.expires_after_ms, what),
        positive(s.weight, what),
        steps,
        tuple(_selector(member, levels - 1) for member in s.any_of),
        tuple(_selector(member, levels - 1) for member in s.all_of),
    )


def from_selector(s: Selector) -> types_pb2.Selector:
    """Return a requirement as protobuf."""
    made = types_pb2.Selector(
        attribute=s.attribute,
        operator=Operator(s.operator).value,  # type: ignore[arg-type]  # the numbers are the contract's
        number=s.number,
        text=s.text,
        texts=s.texts,
        expires_after_ms=s.expires_after_ms,
        weight=s.weight,
    )
    for after_ms, number in s.steps:
        made.steps.add(after_ms=after_ms, number=number)
    made.any_of.extend(from_selector(member) for member in s.any_of)
    made.all_of.extend(from_selector(member) for member in s.all_of)
    return made
