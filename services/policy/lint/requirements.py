"""Which agents could take which interactions by the configuration: requirements against skills, with relaxation over time.

The rules are those of the router (docs/routing-policies.md, "Which agents are eligible"). The command line does not import a service, so
the rules are implemented again here; a test compares them with the router's own for any requirement and any agent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from services.policy.findings import Path

DEFAULT_POOL: Final = "default"
TEAM: Final = "team"
"""The attribute of the label that names an agent's team."""

Skills = Mapping[str, float]


_SYMBOLS: Final = {
    types_pb2.SELECTOR_OPERATOR_EQUAL: "=",
    types_pb2.SELECTOR_OPERATOR_NOT_EQUAL: "!=",
    types_pb2.SELECTOR_OPERATOR_LESS: "<",
    types_pb2.SELECTOR_OPERATOR_AT_MOST: "<=",
    types_pb2.SELECTOR_OPERATOR_GREATER: ">",
}
_SPOKEN: Final = re.compile(
    r"(?:has (?P<has>\S+)|(?P<name>[^\s<>=!]+)\s*(?:(?P<sign>>=|<=|!=|=|<|>)\s*(?P<right>[^\s<>=!].*)|in\s*\((?P<among>.+)\)))"
)
LOWERABLE: Final = (
    types_pb2.SELECTOR_OPERATOR_UNSPECIFIED,
    types_pb2.SELECTOR_OPERATOR_AT_LEAST,
    types_pb2.SELECTOR_OPERATOR_GREATER,
)
"""Comparisons that become easier when the number decreases."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Interactions that the configuration creates: their queue, their requirements, and the part of the file that defines them."""

    queue: config_pb2.Queue
    requirements: tuple[types_pb2.Selector, ...]
    what: str
    path: Path


def is_group(selector: types_pb2.Selector) -> bool:
    """Return whether a selector holds other selectors instead of a comparison."""
    return bool(selector.any_of or selector.all_of)


def is_lowerable(selector: types_pb2.Selector) -> bool:
    """Return whether a smaller number makes the requirement easier."""
    return not is_group(selector) and not selector.text and selector.operator in LOWERABLE


def describe(selector: types_pb2.Selector) -> str:
    """Format a requirement for people: `persian >= 5`."""
    if selector.any_of:
        return f"({' or '.join(map(describe, selector.any_of))})"
    if selector.all_of:
        return f"({' and '.join(map(describe, selector.all_of))})"
    if selector.operator == types_pb2.SELECTOR_OPERATOR_HAS:
        return f"has {selector.attribute}"
    if selector.operator == types_pb2.SELECTOR_OPERATOR_IN:
        return f"{selector.attribute} in ({', '.join(selector.texts)})"
    return f"{selector.attribute} {_SYMBOLS.get(selector.operator, '>=')} {selector.text or f'{selector.number:g}'}"


def parse_requirement(text: str) -> types_pb2.Selector:
    """Parse a requirement such as `persian >= 5`, `city = qom`, `city in (qom, tehran)` or `has vip`. Raises ValueError for other text."""
    found = _SPOKEN.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text!r} is not a requirement such as 'persian >= 5', 'city = qom', 'city in (qom, ray)' or 'has vip'"
        )
    if found["has"]:
        return types_pb2.Selector(attribute=found["has"], operator=types_pb2.SELECTOR_OPERATOR_HAS)
    made = types_pb2.Selector(attribute=found["name"])
    if found["among"]:
        made.operator = types_pb2.SELECTOR_OPERATOR_IN
        made.texts.extend(part.strip() for part in found["among"].split(","))
        return made
    signs = {sign: operator for operator, sign in _SYMBOLS.items()} | {">=": types_pb2.SELECTOR_OPERATOR_AT_LEAST}
    made.operator = signs[found["sign"]]
    try:
        made.number = float(found["right"])
    except ValueError:
        made.text = found["right"]
    return made


@dataclass(frozen=True, slots=True)
class Ease:
    """The relaxation by the open rings: attributes that are dropped, and numbers that are enough."""

    dropped: frozenset[str] = frozenset()
    lowered: Mapping[str, float] = field(default_factory=dict)


_AS_WRITTEN: Final = Ease()


def eased(rings: Iterable[config_pb2.Ring], age_ms: int) -> Ease:
    """Combine the rings that are open `age_ms` after an interaction entered the queue."""
    dropped: set[str] = set()
    lowered: dict[str, float] = {}
    for ring in rings:
        if ring.after_ms <= age_ms:
            dropped.update(ring.drop)
            for name, number in ring.lower.items():
                lowered[name] = min(number, lowered.get(name, number))
    return Ease(frozenset(dropped), lowered)


def meets(selector: types_pb2.Selector, skills: Skills, ease: Ease = _AS_WRITTEN, number: float | None = None) -> bool:
    """Return whether skills satisfy one selector; `number` replaces the selector's own. A skill that the agent lacks satisfies only `!=`. Every
    agent satisfies a dropped attribute, also inside a group."""
    if selector.any_of:
        return any(meets(member, skills, ease) for member in selector.any_of)
    if selector.all_of:
        return all(meets(member, skills, ease) for member in selector.all_of)
    operator, attribute = selector.operator, selector.attribute
    if attribute in ease.dropped:
        return True
    if operator == types_pb2.SELECTOR_OPERATOR_HAS:
        return attribute in skills or any(name.startswith(f"{attribute}=") for name in skills)
    if operator == types_pb2.SELECTOR_OPERATOR_IN:
        return any(f"{attribute}={text}" in skills for text in selector.texts)
    differs = operator == types_pb2.SELECTOR_OPERATOR_NOT_EQUAL
    if selector.text:
        return (f"{attribute}={selector.text}" in skills) != differs
    value = skills.get(attribute)
    if value is None:
        return differs
    wanted = selector.number if number is None else number
    if operator == types_pb2.SELECTOR_OPERATOR_EQUAL:
        return value == wanted
    if differs:
        return value != wanted
    if operator == types_pb2.SELECTOR_OPERATOR_LESS:
        return value < wanted
    if operator == types_pb2.SELECTOR_OPERATOR_AT_MOST:
        return value <= wanted
    wanted = min(wanted, ease.lowered.get(attribute, wanted))
    return value > wanted if operator == types_pb2.SELECTOR_OPERATOR_GREATER else value >= wanted


def meets_all(
    selectors: Iterable[types_pb2.Selector], rings: Iterable[config_pb2.Ring], age_ms: int, skills: Skills
) -> bool:
    """Return whether skills satisfy all selectors, relaxed as they are `age_ms` after an interaction entered a queue with these rings."""
    ease = eased(rings, age_ms)
    for selector in selectors:
        if selector.expires_after_ms and age_ms >= selector.expires_after_ms:
            continue
        number = next((s.number for s in reversed(selector.steps) if s.after_ms <= age_ms), selector.number)
        if not meets(selector, skills, ease, number):
            return False
    return True


def ages(selectors: Iterable[types_pb2.Selector], rings: Iterable[config_pb2.Ring]) -> list[int]:
    """Return 0 and the ages at which a requirement relaxes, milliseconds, in order."""
    times = {0, *(ring.after_ms for ring in rings)}
    for selector in selectors:
        times.update(step.after_ms for step in selector.steps)
        times.add(selector.expires_after_ms)
    return sorted(times)


def skills_of(agent: config_pb2.AgentProfile) -> dict[str, float]:
    """Return an agent's skills and labels, including the team."""
    skills = dict(agent.skills)
    if agent.team:
        skills[f"{TEAM}={agent.team}"] = 1.0
    return skills


def pool_of(part: config_pb2.Queue | config_pb2.AgentProfile) -> str:
    """Return the pool of a queue or an agent."""
    return part.pool or DEFAULT_POOL


def team_of(
    c: config_pb2.TenantConfiguration, queue: config_pb2.Queue, age_ms: int = 0
) -> list[config_pb2.AgentProfile]:
    """Return the agents who serve a queue, including the agents whom its rings have added by `age_ms`."""
    names = {queue.name, *(name for ring in queue.rings if ring.after_ms <= age_ms for name in ring.queues)}
    return [
        agent
        for agent in c.agents
        if pool_of(agent) == pool_of(queue) and (not agent.queues or not names.isdisjoint(agent.queues))
    ]


def able(c: config_pb2.TenantConfiguration, demand: Demand, age_ms: int) -> list[str]:
    """Return the ids of the agents who are eligible `age_ms` after the interaction entered its queue."""
    rings = demand.queue.rings
    return [
        agent.agent_id
        for agent in team_of(c, demand.queue, age_ms)
        if meets_all(demand.requirements, rings, age_ms, skills_of(agent))
    ]


def demands(c: config_pb2.TenantConfiguration) -> Iterator[Demand]:
    """Yield each queue by itself, each rule with its queue, and each overflow rule with the queue that it leads to."""
    queues = {queue.name: queue for queue in c.queues}
    for i, queue in enumerate(c.queues):
        yield Demand(queue, tuple(queue.requirements), f"queue `{queue.name}`", ("queues", i))
    for i, rule in enumerate(c.rules):
        if (led_to := queues.get(rule.queue)) is not None and rule.requirements:
            wanted = (*led_to.requirements, *rule.requirements)
            yield Demand(led_to, wanted, f"rule `{rule.name}`", ("rules", i))
    for i, queue in enumerate(c.queues):
        for j, overflow in enumerate(queue.overflow):
            if (led_to := queues.get(overflow.queue or queue.name)) is not None and overflow.requirements:
                wanted = (*led_to.requirements, *overflow.requirements)
                what = f"overflow `{overflow.name}` of queue `{queue.name}`"
                yield Demand(led_to, wanted, what, ("queues", i, "overflow", j))


def selectors(c: config_pb2.TenantConfiguration) -> Iterator[tuple[types_pb2.Selector, config_pb2.Queue | None, Path]]:
    """Yield every requirement that is not a member of a group, the queue in which it applies, and its path in the file."""
    queues = {queue.name: queue for queue in c.queues}
    for i, queue in enumerate(c.queues):
        for j, selector in enumerate(queue.requirements):
            yield selector, queue, ("queues", i, "requirements", j)
        for k, overflow in enumerate(queue.overflow):
            for j, selector in enumerate(overflow.requirements):
                led_to = queues.get(overflow.queue or queue.name)
                yield selector, led_to, ("queues", i, "overflow", k, "requirements", j)
    for i, rule in enumerate(c.rules):
        for j, selector in enumerate(rule.requirements):
            yield selector, queues.get(rule.queue), ("rules", i, "requirements", j)


def members(selector: types_pb2.Selector, path: Path, depth: int = 1) -> Iterator[tuple[types_pb2.Selector, Path, int]]:
    """Yield every member of a group, with its path and its depth (the number of groups around it)."""
    for key in ("any_of", "all_of"):
        for index, member in enumerate(getattr(selector, key)):
            here = (*path, key, index)
            yield member, here, depth
            yield from members(member, here, depth + 1)
