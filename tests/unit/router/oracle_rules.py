"""The rules of `docs/routing-policies.md` that do not depend on time's direction: requirements, eligibility, order. Read them beside the page.

Only the types of `model` are shared with the engine: requirements, capacity and order are computed independently.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import exp

from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    ChannelCapacity,
    Operator,
    QueueConfig,
    Ring,
    Selector,
)
from services.router.domain.model import InteractionAttributes

FLOORS = (Operator.UNSPECIFIED, Operator.AT_LEAST, Operator.GREATER)
CEILINGS = (Operator.LESS, Operator.AT_MOST)

# Requirements


def abilities(profile: AgentProfile) -> dict[str, float]:
    """Return skills and labels; a team is the label `team=...`."""
    team = {f"team={profile.team}": 1.0} if profile.team else {}
    return {**dict(profile.skills), **team}


def relaxed(selector: Selector, clock: int, rings: Sequence[Ring]) -> Selector | None:
    """Return what is required after `clock` ms in the queue; None when nothing is. Remaining steps are kept, and never rise."""
    if selector.expires_after_ms and clock >= selector.expires_after_ms:
        return None
    passed = [number for after, number in selector.steps if after <= clock]
    left = [(after, number) for after, number in selector.steps if after > clock]
    return _widened(
        replace(selector, number=passed[-1] if passed else selector.number, steps=tuple(left)), clock, rings
    )


def _widened(selector: Selector, clock: int, rings: Sequence[Ring]) -> Selector | None:
    """Apply the rings that have been reached; they also apply inside groups, where times of members do not count."""
    come = [ring for ring in rings if ring.after_ms <= clock]
    if selector.any_of:
        members = [_widened(member, clock, rings) for member in selector.any_of]
        return None if None in members else replace(selector, any_of=tuple(m for m in members if m is not None))
    if selector.all_of:
        kept = [m for member in selector.all_of if (m := _widened(member, clock, rings)) is not None]
        return replace(selector, all_of=tuple(kept)) if kept else None
    if any(selector.attribute in ring.drop for ring in come):
        return None
    floors = [number for ring in come for name, number in ring.lower if name == selector.attribute]
    if selector.operator in FLOORS and floors:
        number = min(selector.number, *floors)
        steps = tuple((after, min(step, number)) for after, step in selector.steps)
        return replace(selector, number=number, steps=steps)
    return selector


def asked(queue: QueueConfig, attributes: InteractionAttributes, clock: int) -> list[Selector]:
    """Return all requirements that apply now, the queue's and the interaction's own."""
    found = [relaxed(selector, clock, queue.rings) for selector in queue.requirements + attributes.requirements]
    return [selector for selector in found if selector is not None]


def carried_over(attributes: InteractionAttributes, queue: QueueConfig, clock: int) -> tuple[Selector, ...]:
    """Return its own requirements when it moves to another queue, whose clock starts at 0.

    They are as relaxed as they are now; later relaxations keep their times.
    """
    found = [relaxed(selector, clock, queue.rings) for selector in attributes.requirements]
    return tuple(
        replace(
            selector,
            expires_after_ms=selector.expires_after_ms and selector.expires_after_ms - clock,
            steps=tuple((after - clock, number) for after, number in selector.steps),
        )
        for selector in found
        if selector is not None
    )


def turning_points(selectors: Iterable[Selector], rings: Iterable[Ring]) -> list[int]:
    """Return all ages in the queue at which a requirement changes."""
    points = [ring.after_ms for ring in rings]
    for selector in selectors:
        points += [selector.expires_after_ms, *(after for after, _ in selector.steps)]
    return [point for point in points if point > 0]


def meets(selector: Selector, has: Mapping[str, float]) -> bool:
    """Whether abilities meet a requirement; a skill that the agent does not have meets only `!=`."""
    if selector.any_of:
        return any(meets(member, has) for member in selector.any_of)
    if selector.all_of:
        return all(meets(member, has) for member in selector.all_of)
    name = selector.attribute
    match selector.operator:
        case Operator.HAS:
            return any(ability == name or ability.startswith(name + "=") for ability in has)
        case Operator.IN:
            return any(f"{name}={text}" in has for text in selector.texts)
        case Operator.NOT_EQUAL if selector.text:
            return f"{name}={selector.text}" not in has
        case _ if selector.text:
            return f"{name}={selector.text}" in has
        case Operator.NOT_EQUAL:
            return has.get(name) != selector.number
    if name not in has:
        return False
    value, number = has[name], selector.number
    match selector.operator:
        case Operator.EQUAL:
            return value == number
        case Operator.LESS:
            return value < number
        case Operator.AT_MOST:
            return value <= number
        case Operator.GREATER:
            return value > number
        case _:
            return value >= number


def score(selectors: Iterable[Selector], has: Mapping[str, float]) -> float:
    """Return the weighted mean of sigmoid((value - required) / required).

    Labels and equality count 1; an or-group counts as its best member, an and-group as the mean of all.
    """
    parts = [(selector.weight or 1.0, _part(selector, has)) for selector in selectors]
    return sum(w * part for w, part in parts) / sum(w for w, _ in parts) if parts else 1.0


def _part(selector: Selector, has: Mapping[str, float]) -> float:
    if selector.any_of:
        return max(_part(member, has) for member in selector.any_of)
    if selector.all_of:
        return score(selector.all_of, has)
    if not meets(selector, has):
        return 0.0
    if selector.text or selector.operator not in FLOORS + CEILINGS:
        return 1.0
    excess = (has[selector.attribute] - selector.number) / (abs(selector.number) or 1.0)
    return 1.0 / (1.0 + exp(-excess if selector.operator in FLOORS else excess))


# Capacity


def rule_of(profile: CapacityProfile, channel: str) -> ChannelCapacity:
    """Return what one interaction of a channel takes."""
    listed = [rule for rule in profile.channels if rule.channel == channel]
    return listed[0] if listed else ChannelCapacity(channel, profile.default_weight)


Entry = tuple[str, bool]
"""An interaction in the ledger: its channel, and whether its customer's answer is awaited."""


def takes(profile: CapacityProfile, entry: Entry) -> int:
    """Return the weight of an interaction."""
    channel, awaited = entry
    rule = rule_of(profile, channel)
    return rule.awaited_weight if awaited and rule.awaited_weight is not None else rule.weight


def lighter(profile: CapacityProfile, entry: Entry) -> bool:
    """Whether an interaction takes another weight because its customer is awaited."""
    return takes(profile, entry) != takes(profile, (entry[0], False))


def used(profile: CapacityProfile, ledger: Iterable[Entry]) -> int:
    """Return the weight of the ledger: one entry for each interaction."""
    return sum(takes(profile, entry) for entry in ledger)


def misfit(profile: CapacityProfile, ledger: Sequence[Entry], channel: str, awaited: bool = False) -> str:
    """Return why one more does not fit beside the ledger; empty when it does."""
    channels = [held for held, _ in ledger]
    rule = rule_of(profile, channel)
    if rule.weight <= 0:
        return "CHANNEL_NOT_SERVED"
    held = [rule_of(profile, name) for name in channels]
    if any(rule.exclusive or other.exclusive or channel in other.excludes for other in held):
        return "EXCLUSIVE_CHANNEL"
    if rule.maximum and channels.count(channel) >= rule.maximum:
        return "CHANNEL_FULL"
    if used(profile, ledger) + takes(profile, (channel, awaited)) > profile.total:
        return "NO_CAPACITY"
    return ""


# Order


def pick_up_target_ms(queue: QueueConfig, attributes: InteractionAttributes, otherwise: int = 0) -> int:
    """Return the pick-up target of the first policy that matches."""
    tier = dict(attributes.labels).get("tier", "")
    for policy in queue.pick_up_targets:
        if (not policy.channels or attributes.channel in policy.channels) and (
            not policy.tiers or tier in policy.tiers
        ):
            return policy.target_ms
    return otherwise


def priority(queue: QueueConfig, attributes: InteractionAttributes, now: int) -> Fraction:
    """Return the queue's priority, plus the interaction's, plus ageing times its age since arrival; exact."""
    aged = Fraction(queue.ageing_per_minute) * max(0, now - attributes.arrived_at_ms) / 60_000
    return queue.priority + attributes.priority + aged
