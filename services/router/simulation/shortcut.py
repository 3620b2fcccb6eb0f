"""A fast path without the engine for plain pools, for questions that need thousands of replications.

Where every agent can take every interaction, one at a time, and queues only order by priority, the engine's decisions come down to a few lines: the
most urgent interaction, of those the oldest, goes to the agent who has been idle longest. The result must equal that of the engine, entry by entry of
the log; `replications.replicate` checks this in the first replication of every case, and the tests check it in many more.

A plan with anything beyond that, or with settings that a later configuration adds and this file does not know, is refused: any value that differs
from its default is not plain.
"""

from __future__ import annotations

from dataclasses import replace
from heapq import heapify, heappop, heappush

from services.policy.model.routing import (
    GRACE_MS,
    LEASE_MS,
    AgentProfile,
    CapacityProfile,
    Choice,
    PoolConfig,
    QueueConfig,
)
from services.router.domain.model import InteractionAttributes
from services.router.simulation.customers import Customers
from services.router.simulation.log import ABANDONED, ANSWERED, BLOCKED, UNSERVED, Log
from services.router.simulation.plan import FOREVER, Plan


def refusal(plan: Plan) -> str:
    """Return why this plan is not plain; empty when it is."""
    scenario = plan.scenario
    groups = [scenario.groups.get(name) for name in plan.groups]
    types = [scenario.types.get(name) for name in plan.types]
    own = replace(plan.config, version=0, lease_ms=LEASE_MS, grace_ms=GRACE_MS, queues=(), agents=(), profiles=())
    if own != PoolConfig():
        return "the pool has rules of its own"
    if not all(_is_plain_queue(queue) for queue in plan.config.queues):
        return "a queue does more than order by priority"
    if not all(_takes_everything(agent, plan.config) for agent in plan.config.agents):
        return "agents differ in skills, queues, team or capacity"
    if not plan.desks or any(desk.shifts != ((0.0, FOREVER),) for desk in plan.desks):
        return "agents come and go"
    if any(group is not None and group.answering is not None for group in groups):
        return "agents do not accept at once"
    if not all(_is_plain_kind(kind.attributes) for kind in plan.kinds):
        return "interactions have requirements"
    if any(kind is not None and (kind.retrials is not None or kind.waiting_places is not None) for kind in types):
        return "customers come again, or types have waiting places of their own"
    if scenario.waiting_places not in (None, 0):
        return "waiting places are bounded"
    return ""


def _is_plain_queue(queue: QueueConfig) -> bool:
    plain = QueueConfig(queue.name, queue.priority, offer_ms=queue.offer_ms, service_level_ms=queue.service_level_ms)
    return replace(queue, choice=Choice.LONGEST_IDLE) == plain and queue.choice in (
        Choice.UNSPECIFIED,
        Choice.LONGEST_IDLE,
    )


def _takes_everything(agent: AgentProfile, config: PoolConfig) -> bool:
    profile = config.profile(agent.capacity_profile)
    return agent == AgentProfile(
        agent.agent_id, agent.display_name, capacity_profile=agent.capacity_profile
    ) and profile == CapacityProfile(profile.name, profile.total, default_weight=profile.total)


def _is_plain_kind(attributes: InteractionAttributes) -> bool:
    return attributes == InteractionAttributes(
        "",
        "",
        channel=attributes.channel,
        language=attributes.language,
        queue=attributes.queue,
        priority=attributes.priority,
        labels=attributes.labels,
    )


def run(plan: Plan, customers: Customers) -> Log:
    """Return what `Floor.run` returns for a plain plan."""
    arrived, patience, kinds = customers.arrived, customers.patience, customers.kind
    count = len(arrived)
    looks = [kind.attributes for kind in plan.kinds]
    urgency = [-(plan.config.by_name[one.queue].priority + one.priority) for one in looks]
    by_id = sorted(range(len(plan.desks)), key=lambda number: plan.desks[number].agent_id)
    handling = [customers.handling[plan.desks[number].group] for number in by_id]
    # Idle agents in the engine's order: by whole milliseconds, then by id.
    idle = [(0, agent) for agent in range(len(by_id))]
    heapify(idle)
    serving: list[tuple[float, int, int, float]] = []  # end, in order of assignment, agent, begin
    waiting: list[tuple[int, int]] = []
    outcome, waited = [UNSERVED] * count, [0.0] * count
    busy: list[tuple[int, float, float]] = []
    end, begun, losses = 0.0, 0, plan.scenario.waiting_places == 0

    def finish() -> None:
        """End the next service; its agent takes the next customer who has not left."""
        nonlocal begun, end
        now, _, agent, since = heappop(serving)
        busy.append((by_id[agent], since, now))
        end = max(end, now)
        while waiting:
            number = heappop(waiting)[1]
            leaves = arrived[number] + patience[number]
            if leaves < now:
                outcome[number], waited[number] = ABANDONED, leaves - arrived[number]
                end = max(end, leaves)
                continue
            outcome[number], waited[number] = ANSWERED, now - arrived[number]
            heappush(serving, (now + handling[agent][number], begun, agent, now))
            begun += 1
            return
        heappush(idle, (int(now), agent))

    for number in range(count):
        now = arrived[number]
        while serving and serving[0][0] <= now:
            finish()
        if idle:
            _, agent = heappop(idle)
            outcome[number] = ANSWERED
            heappush(serving, (now + handling[agent][number], begun, agent, now))
            begun += 1
        elif losses:
            outcome[number] = BLOCKED
            end = max(end, now)
        else:
            heappush(waiting, (urgency[kinds[number]], number))
    while serving:
        finish()
    commands = 1 + len(plan.desks) + 3 * begun + 2 * (count - begun)
    return Log(kinds, arrived, outcome, waited, busy, commands=commands, end=end)
