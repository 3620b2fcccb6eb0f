"""The interactions that a configuration creates, the agents who could take them, and every requirement with its place.

Whether an agent meets a requirement is decided by `services.policy.model.eligibility`, as in the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from services.policy.findings import Path
from services.policy.model import eligibility
from services.policy.model.eligibility import Skills
from services.policy.model.routing import Ring, Selector
from services.policy.reading.routing import DEFAULT_POOL, to_ring
from services.policy.reading.selectors import to_selectors

TEAM: Final = "team"
"""The attribute of the label that names an agent's team."""
_LOWERABLE: Final = frozenset(map(int, eligibility.LOWERABLE))


@dataclass(frozen=True, slots=True)
class Demand:
    """Interactions that the configuration creates: their queue, their requirements, and the part of the file that defines them."""

    queue: config_pb2.Queue
    rings: tuple[Ring, ...]
    requirements: tuple[Selector, ...]
    what: str
    path: Path


def is_group(selector: types_pb2.Selector) -> bool:
    """Return whether a selector holds other selectors instead of a comparison."""
    return bool(selector.any_of or selector.all_of)


def is_lowerable(selector: types_pb2.Selector) -> bool:
    """Return whether a smaller number makes the requirement easier."""
    return not is_group(selector) and not selector.text and selector.operator in _LOWERABLE


def typed(selector: types_pb2.Selector) -> Selector | None:
    """Return a requirement as the engine sees it; None if it cannot be used, which is reported elsewhere."""
    try:
        (found,) = to_selectors([selector])
    except ValueError:
        return None
    return found


def describe(selector: types_pb2.Selector) -> str:
    """Format a requirement for people: `persian >= 5`."""
    found = typed(selector)
    return eligibility.describe(found) if found is not None else "this requirement"


def met_by_all(selector: types_pb2.Selector, team: Iterable[config_pb2.AgentProfile]) -> bool:
    """Return whether every agent meets a requirement as it is written, before its times."""
    found = typed(selector)
    return found is not None and all(eligibility.meets(found, skills_of(agent)) for agent in team)


def skills_of(agent: config_pb2.AgentProfile) -> Skills:
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
    now = eligibility.requirements_at(demand.requirements, demand.rings, age_ms)
    return [
        agent.agent_id for agent in team_of(c, demand.queue, age_ms) if eligibility.meets_all(now, skills_of(agent))
    ]


def ages(demand: Demand) -> list[int]:
    """Return 0 and the ages at which a requirement relaxes, milliseconds, in order."""
    return [0, *eligibility.change_times(demand.requirements, demand.rings)]


def demands(c: config_pb2.TenantConfiguration) -> Iterator[Demand]:
    """Yield each queue by itself, each rule with its queue, and each overflow rule with the queue that it leads to.

    Those with a requirement or a ring that cannot be used are left out: that is reported elsewhere.
    """
    for queue, requirements, what, path in _asked(c):
        try:
            rings = tuple(to_ring(ring, what) for ring in queue.rings)
            yield Demand(queue, rings, to_selectors(requirements), what, path)
        except ValueError:
            continue


def _asked(
    c: config_pb2.TenantConfiguration,
) -> Iterator[tuple[config_pb2.Queue, tuple[types_pb2.Selector, ...], str, Path]]:
    queues = {queue.name: queue for queue in c.queues}
    for i, queue in enumerate(c.queues):
        yield queue, tuple(queue.requirements), f"queue `{queue.name}`", ("queues", i)
    for i, rule in enumerate(c.rules):
        if (led_to := queues.get(rule.queue)) is not None and rule.requirements:
            yield led_to, (*led_to.requirements, *rule.requirements), f"rule `{rule.name}`", ("rules", i)
    for i, queue in enumerate(c.queues):
        for j, overflow in enumerate(queue.overflow):
            if (led_to := queues.get(overflow.queue or queue.name)) is not None and overflow.requirements:
                wanted = (*led_to.requirements, *overflow.requirements)
                yield (
                    led_to,
                    wanted,
                    f"overflow `{overflow.name}` of queue `{queue.name}`",
                    ("queues", i, "overflow", j),
                )


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
