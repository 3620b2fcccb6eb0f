"""A fast path without the engine for plain pools, for questions that need thousands of replications.

Where every agent can take every interaction, one at a time, and queues only order by priority, the engine's decisions come down to a few lines: the
most urgent interaction, of those the oldest, goes to the agent who has been idle longest. The result must equal that of the engine, entry by entry of
the log; `replications.replicate` checks this in the first replication of every case, and the tests check it in many more.

A plan with anything beyond that, or with settings that a later configuration adds and this file does not know, is refused: any value that differs
from its default is not plain, unless it is known to decide nothing here.
"""

from __future__ import annotations

from dataclasses import fields, replace
from heapq import heapify, heappop, heappush
from typing import Any

from services.policy.model.routing import (
    GRACE_MS,
    LEASE_MS,
    AgentProfile,
    CapacityProfile,
    Choice,
    Order,
    PoolConfig,
    QueueConfig,
)
from services.router.domain.model import InteractionAttributes
from services.router.simulation.customers import Customers
from services.router.simulation.log import ABANDONED, ANSWERED, BLOCKED, UNSERVED, Log
from services.router.simulation.plan import FOREVER, Plan


def refusal(plan: Plan) -> str:
    """Return why this plan is not plain, with the name of the setting that decides more; empty when it is plain."""
    scenario = plan.scenario
    own = replace(plan.config, version=0, lease_ms=LEASE_MS, grace_ms=GRACE_MS, queues=(), agents=(), profiles=())
    if own != PoolConfig():
        return f"the pool has {_differing(own, PoolConfig())}"
    for queue in _decisive_queues(plan):
        if queue != QueueConfig(queue.name):
            return f"the queue `{queue.name}` has {_differing(queue, QueueConfig(queue.name))}"
    if not plan.desks:
        return "agents come and go: the scenario has none"
    used = {kind.attributes.queue for kind in plan.kinds}
    for agent, desk in zip(plan.config.agents, plan.desks, strict=True):
        group = scenario.groups.get(plan.groups[desk.group])
        beyond = _beyond(agent, plan.config, used)
        if beyond:
            return f"the group `{plan.groups[desk.group]}` has {beyond}: agents differ in what they can take"
        if desk.shifts != ((0.0, FOREVER),):
            return f"agents come and go (group `{plan.groups[desk.group]}`)"
        if group is not None and group.answering is not None:
            return f"agents do not accept at once (`answering` of the group `{plan.groups[desk.group]}`)"
    return _of_customers(plan)


def _of_customers(plan: Plan) -> str:
    """Return what about the customers is not plain."""
    scenario = plan.scenario
    for kind in plan.kinds:
        name, of_type = plan.types[kind.type_index], scenario.types.get(plan.types[kind.type_index])
        if not _is_plain_kind(kind.attributes):
            return f"interactions of the type `{name}` have `requirements`"
        if of_type is not None and of_type.retrials is not None:
            return f"customers of the type `{name}` come again (`retrials`)"
        if of_type is not None and of_type.waiting_places is not None:
            return f"the type `{name}` has `waiting_places` of its own"
        if of_type is not None and of_type.lines is not None:
            return f"the type `{name}` has `lines`"
    if scenario.lines is not None:
        return "the scenario has `lines`"
    if scenario.waiting_places not in (None, 0):
        return "waiting places are bounded (`waiting_places`)"
    return ""


def _decisive_queues(plan: Plan) -> list[QueueConfig]:
    """Return the queues without the settings that decide nothing in a pool that is plain otherwise.

    A priority is part of the shortcut, and a threshold only measures. Agents accept at once, so no offer's time ends; no interaction is transferred,
    and no customer comes again to an agent of before. There are no replies, so no customer is silent. Only orders by deadline use targets, and only
    with targets; only the adaptive order uses the goal. Where all are equally urgent and become so equally fast, the oldest stays the first.
    """
    made = []
    for queue in plan.config.queues:
        plain = QueueConfig(queue.name)
        choice = Choice.LONGEST_IDLE if queue.choice is Choice.UNSPECIFIED else queue.choice
        unused = queue.order is Order.UNSPECIFIED or (queue.order is Order.DEADLINE and not queue.pick_up_targets)
        order = Order.ARRIVAL if unused else queue.order
        one = replace(
            queue,
            priority=plain.priority,
            choice=choice,
            order=order,
            offer_ms=plain.offer_ms,
            service_level_ms=plain.service_level_ms,
            transfer_hold_ms=plain.transfer_hold_ms,
            sticky_ms=plain.sticky_ms,
            sticky_team_ms=plain.sticky_team_ms,
            warn_silent_ms=plain.warn_silent_ms,
            close_silent_ms=plain.close_silent_ms,
        )
        if order is not Order.ADAPTIVE:
            one = replace(one, service_level_goal=plain.service_level_goal)
        if order is Order.ARRIVAL:
            one = replace(one, pick_up_targets=plain.pick_up_targets)
        made.append(one)
    looks = [kind.attributes for kind in plan.kinds]
    urgent = {plan.config.by_name[one.queue].priority + one.priority for one in looks}
    ageing = {plan.config.by_name[one.queue].ageing_per_minute for one in looks}
    if len(urgent) == len(ageing) == 1:
        made = [replace(one, ageing_per_minute=0.0) for one in made]
    return made


def _differing(one: Any, other: Any) -> str:
    """Return the names of the fields in which two dataclasses of a class differ."""
    names = [field.name for field in fields(one) if field.compare]
    found = [name for name in names if getattr(one, name) != getattr(other, name)]
    return " and ".join(f"`{name.removesuffix('_ms')}`" for name in found)


def _beyond(agent: AgentProfile, config: PoolConfig, used: set[str]) -> str:
    """Return the settings that keep an agent from an interaction, or give more than one at a time; empty without.

    Skills and a team decide nothing where no interaction and no queue asks for them.
    """
    if agent.queues and not used <= set(agent.queues):
        return "`queues`"
    profile = config.profile(agent.capacity_profile)
    plain = CapacityProfile(profile.name, profile.total, default_weight=profile.total)
    limited = profile.occupancy_limit and profile.occupancy_window_ms
    found = profile if limited else replace(profile, occupancy_window_ms=plain.occupancy_window_ms)
    if profile.default_weight == 1 and profile.total > 1:
        return "`capacity`"
    return _differing(found, plain)


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
