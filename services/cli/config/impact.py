"""What an apply does to work: the parts that a new version removes or moves, and how much work each touches. Pure.

The configuration says which parts; the router's state says how much work they have now (`Work`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2, router_pb2
from services.policy.reading.routing import DEFAULT_POOL


class Part(StrEnum):
    """What a configuration has parts of, as far as work depends on them."""

    POOL = "pool"
    QUEUE = "queue"
    AGENT = "agent"
    SKILL = "skill"
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class Change:
    """A part that is removed, or moved to another pool. `to_pool` is empty for one that is removed.

    `waiting` (offered work included) and `assigned` are None while they are not known.
    """

    part: Part
    name: str
    pool: str
    to_pool: str
    effect: str
    """The words for the effect on its work."""
    waiting: int | None = None
    assigned: int | None = None

    @property
    def affects_work(self) -> bool:
        """Whether the change touches work, or may do so."""
        return self.waiting is None or self.assigned is None or bool(self.waiting or self.assigned)

    def data(self) -> dict[str, Any]:
        """Return the change for JSON."""
        return {**asdict(self), "part": str(self.part), "change": "moved" if self.to_pool else "removed"}


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a tenant now, by pool: queues, agents with what they have, and interactions that wait without an offer."""

    queues: dict[str, list[router_pb2.QueueView]] = field(default_factory=dict)
    agents: dict[str, list[router_pb2.AgentView]] = field(default_factory=dict)
    waiting: dict[str, list[router_pb2.WaitingView]] = field(default_factory=dict)


def changes(before: config_pb2.TenantConfiguration, after: config_pb2.TenantConfiguration) -> tuple[Change, ...]:
    """Return the parts that are removed or moved, without numbers, in the order of the former version."""
    return (
        *_pools(before, after),
        *_queues(before, after),
        *_agents(before, after),
        *_skills(before, after),
        *_channels(before, after),
    )


def needs_waiting(found: Iterable[Change]) -> bool:
    """Whether each waiting interaction must be looked at: the router counts by queue and agent, not by skill and channel."""
    return any(change.part in (Part.SKILL, Part.CHANNEL) for change in found)


def counted(found: Iterable[Change], work: Work) -> tuple[Change, ...]:
    """Return the changes with the numbers of the work that they touch."""
    return tuple(_counted(change, work) for change in found)


def total(found: Iterable[Change]) -> str:
    """Return one sentence that names every change that touches work."""
    named = [f"{_words(each)} ({_numbers(each)})" for each in found if each.affects_work]
    return "; ".join(named)


def _words(change: Change) -> str:
    return f"{change.part} {change.name} is " + (f"moved to pool {change.to_pool}" if change.to_pool else "removed")


def _numbers(change: Change) -> str:
    if change.waiting is None or change.assigned is None:
        return "work not known"
    return f"{change.waiting} waiting, {change.assigned} assigned"


def _pool(part: config_pb2.Queue | config_pb2.AgentProfile) -> str:
    return part.pool or DEFAULT_POOL


def _pools(before: config_pb2.TenantConfiguration, after: config_pb2.TenantConfiguration) -> Iterator[Change]:
    left = {pool.name or DEFAULT_POOL for pool in after.pools}
    for pool in before.pools:
        name = pool.name or DEFAULT_POOL
        if name not in left:
            yield Change(Part.POOL, name, name, "", "its work goes where its queues go, its agents are signed out")


def _queues(before: config_pb2.TenantConfiguration, after: config_pb2.TenantConfiguration) -> Iterator[Change]:
    left = {queue.name: queue for queue in after.queues}
    for queue in before.queues:
        pool, now = _pool(queue), left.get(queue.name)
        if now is None:
            yield Change(Part.QUEUE, queue.name, pool, "", _new_home(pool, after))
        elif _pool(now) != pool:
            effect = f"its work waits in pool {_pool(now)}, with its age; agents lose what they have of it"
            yield Change(Part.QUEUE, queue.name, pool, _pool(now), effect)


def _new_home(pool: str, after: config_pb2.TenantConfiguration) -> str:
    """Say where the work of a removed queue goes, by the rule of the engine: the pool's first queue, or the tenant's."""
    first = next((queue for queue in after.queues if _pool(queue) == pool), None)
    if first is not None:
        return f"its work goes to queue {first.name}, in order"
    if after.queues:
        home = after.queues[0]
        return f"its work goes to queue {home.name} of pool {_pool(home)}, in order"
    return "its work waits until there is a queue"


def _agents(before: config_pb2.TenantConfiguration, after: config_pb2.TenantConfiguration) -> Iterator[Change]:
    left = {agent.agent_id: agent for agent in after.agents}
    for agent in before.agents:
        pool, now = _pool(agent), left.get(agent.agent_id)
        if now is None:
            yield Change(Part.AGENT, agent.agent_id, pool, "", "is signed out, their work is routed again")
        elif _pool(now) != pool:
            effect = f"signs in to pool {_pool(now)}, their work is routed again"
            yield Change(Part.AGENT, agent.agent_id, pool, _pool(now), effect)


def _skills(before: config_pb2.TenantConfiguration, after: config_pb2.TenantConfiguration) -> Iterator[Change]:
    left = {skill.name for skill in after.skills}
    for skill in before.skills:
        if skill.name not in left:
            yield Change(Part.SKILL, skill.name, "", "", "work that requires it keeps the requirement")


def _channels(before: config_pb2.TenantConfiguration, after: config_pb2.TenantConfiguration) -> Iterator[Change]:
    left = {(channel.channel, channel.account) for channel in after.channels}
    for channel in before.channels:
        if (channel.channel, channel.account) not in left:
            name = f"{channel.channel}/{channel.account}"
            yield Change(Part.CHANNEL, name, "", "", "its customers can't be answered there")


def _counted(change: Change, work: Work) -> Change:
    match change.part:
        case Part.POOL:
            views = list(work.queues.get(change.pool, ()))
        case Part.QUEUE:
            views = [view for view in work.queues.get(change.pool, ()) if view.queue == change.name]
        case Part.AGENT:
            return _of_agent(change, work)
        case Part.SKILL:
            return _of_interactions(change, work)
        case Part.CHANNEL:
            return _of_interactions(change, work)
    waiting = sum(view.waiting + view.offered for view in views)
    return replace(change, waiting=waiting, assigned=sum(view.assigned for view in views))


def _of_agent(change: Change, work: Work) -> Change:
    found = [a.snapshot for a in work.agents.get(change.pool, ()) if a.profile.agent_id == change.name]
    held = sum(not assignment.wrapping_up for snapshot in found for assignment in snapshot.assignments)
    return replace(change, waiting=sum(len(snapshot.offers) for snapshot in found), assigned=held)


def _of_interactions(change: Change, work: Work) -> Change:
    waiting = {view.interaction.interaction_id: view.interaction for views in work.waiting.values() for view in views}
    assigned: dict[str, records_pb2.InteractionAttributes] = {}
    for agent in (agent for agents in work.agents.values() for agent in agents):
        waiting.update((offer.interaction.interaction_id, offer.interaction) for offer in agent.snapshot.offers)
        for each in agent.snapshot.assignments:
            if not each.wrapping_up:
                assigned[each.interaction.interaction_id] = each.interaction
    return replace(
        change,
        waiting=sum(_concerns(change, interaction) for interaction in waiting.values()),
        assigned=sum(_concerns(change, interaction) for interaction in assigned.values())
        if change.part is Part.CHANNEL
        else 0,
    )


def _concerns(change: Change, interaction: records_pb2.InteractionAttributes) -> bool:
    if change.part is Part.CHANNEL:
        return f"{interaction.channel}/{interaction.account}" == change.name
    return any(change.name in _attributes(selector) for selector in interaction.requirements)


def _attributes(selector: types_pb2.Selector) -> set[str]:
    """Return the attributes that a requirement compares; the contract bounds how deep groups are."""
    found = {selector.attribute}
    for member in (*selector.any_of, *selector.all_of):
        found |= _attributes(member)
    return found
