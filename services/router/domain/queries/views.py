"""Read-only views of the pool as it is now, for displays and metrics. No decision depends on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge

from services.policy.model.routing import AgentProfile
from services.router.domain.assignment.ledger import snapshot_notice
from services.router.domain.effects import SnapshotNotice
from services.router.domain.engine import Engine
from services.router.domain.model import AgentState, InteractionAttributes, Stage
from services.router.domain.pool.index import UNIT, Line, Rank
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.roster import fitting
from services.router.domain.pool.state import Agent, Interaction
from services.router.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class QueueNow:
    """A queue as it is now. Times in milliseconds; `oldest_ms` is the longest waiting time (`Interaction.waited_ms`) of those that wait; the
    estimate is -1 when unknown."""

    queue: str
    waiting: int
    offered: int
    assigned: int
    oldest_ms: int
    signed_in: int
    available: int
    estimate_ms: int
    in_threshold: int
    answered: int
    abandoned: int


@dataclass(frozen=True, slots=True)
class WaitingNow:
    """A waiting interaction, and why it waits. `queued_at_ms`: when it entered its queue. `waited_ms`: its waiting time, which a transfer
    does not end (`Interaction.waited_ms`)."""

    attributes: InteractionAttributes
    position: int
    queued_at_ms: int
    waited_ms: int
    priority: float
    reason: str


@dataclass(frozen=True, slots=True)
class EstimateNow:
    """The wait that a new interaction would have."""

    p50_ms: int
    p90_ms: int
    position: int
    method: str
    n: int


@dataclass(frozen=True, slots=True)
class AgentNow:
    """An agent as they are now. `idle_since_ms` is 0 when the agent is busy or not available."""

    profile: AgentProfile
    snapshot: SnapshotNotice
    state_since_ms: int
    idle_since_ms: int


def queues(engine: Engine, now: int) -> list[QueueNow]:
    """Return all queues, by name."""
    core = engine.core
    if core.config is None:
        return []
    offered: dict[str, int] = {}
    assigned: dict[str, int] = {}
    oldest: dict[str, int] = {}
    for interaction in core.interactions.values():
        name = interaction.attributes.queue
        if interaction.stage is Stage.OFFERED:
            offered[name] = offered.get(name, 0) + 1
        elif interaction.stage is Stage.ASSIGNED:
            assigned[name] = assigned.get(name, 0) + 1
        elif interaction.stage is Stage.WAITING:
            oldest[name] = max(oldest.get(name, 0), interaction.waited_ms(now))
    serving = _serving(core)
    found = []
    for queue in sorted(core.config.queues, key=lambda q: q.name):
        name = queue.name
        tally = core.tally.get(name, [0, 0, 0])
        signed_in, available = serving[name]
        found.append(
            QueueNow(
                name,
                core.lines.waiting(name),
                offered.get(name, 0),
                assigned.get(name, 0),
                oldest.get(name, 0),
                signed_in,
                available,
                estimate(engine, name, now).p50_ms,
                *tally,
            )
        )
    return found


def _serving(core: PoolState) -> dict[str, tuple[int, int]]:
    """Return for each queue the number of signed-in agents who serve it, and the number of those with room for some channel."""
    assert core.config is not None
    counts = {queue.name: [0, 0] for queue in core.config.queues}
    for agent in core.agents.values():
        if not agent.session_id:
            continue
        room = agent.bucket is not None and agent.group.capacity.used(agent.load) < agent.group.capacity.total
        for name in agent.group.queues or counts:
            if name in counts:
                counts[name][0] += 1
                counts[name][1] += room
    return {name: (signed_in, available) for name, (signed_in, available) in counts.items()}


def estimate(engine: Engine, queue: str, now: int) -> EstimateNow:
    """Return the estimated wait of a new interaction without requirements of its own."""
    core = engine.core
    ahead = core.lines.waiting(queue)
    history = core.histories.get(queue)
    seen = round(history.seen(now)) if history is not None else 0
    if not ahead and _agent_is_free(core, queue):
        return EstimateNow(0, 0, 1, "AGENT_FREE", seen)
    staff = core.staff(queue)
    if not staff:
        return EstimateNow(-1, -1, ahead + 1, "NO_AGENTS", seen)
    p50, p90 = history.prospect_ms(now, ahead + 1, staff) if history is not None else (-1, -1)
    return EstimateNow(p50, p90, ahead + 1, "NO_HISTORY" if p50 < 0 else "PACE_AND_PATIENCE", seen)


def _agent_is_free(core: PoolState, queue: str) -> bool:
    config = core.config.by_name.get(queue) if core.config is not None else None
    if config is None:
        return False
    able = [group for group in core.roster.serving(queue, ()) if group.serves(queue, config.requirements)]
    channels = {c.channel for group in able for c in group.capacity.profile.channels} or {""}
    return any(next(fitting(able, channel), None) is not None for channel in channels)


def waiting(engine: Engine, queue: str, now: int) -> Iterator[WaitingNow]:
    """Yield the waiting interactions in the order of service; of all queues for an empty name. Lazy: reading a page costs only a page."""
    core = engine.core
    lines = list(core.lines.of_queue(queue) if queue else core.lines.all())
    ordered = merge(*(_in_order(core, line, now) for line in lines if line.ranks), key=lambda pair: pair[0])
    for position, (urgency, interaction) in enumerate(ordered, 1):
        yield WaitingNow(
            interaction.attributes,
            position,
            interaction.enqueued_at,
            interaction.waited_ms(now),
            -urgency[0] / UNIT,
            waiting_reason(interaction),
        )
    if core.config is None:
        rest = sorted(
            core.interactions.values(),
            key=lambda each: (-each.attributes.priority, each.attributes.arrived_at_ms, each.id),
        )
        for position, interaction in enumerate(
            (each for each in rest if not queue or each.attributes.queue == queue), 1
        ):
            yield WaitingNow(
                interaction.attributes,
                position,
                interaction.enqueued_at,
                interaction.waited_ms(now),
                float(interaction.attributes.priority),
                Reason.NO_CONFIGURATION,
            )


def _in_order(core: PoolState, line: Line, now: int) -> Iterator[tuple[Rank, Interaction]]:
    for index, rank in enumerate(list(line.ranks)):
        yield line.urgency(index, now), core.interactions[rank[2]]


def waiting_reason(interaction: Interaction) -> str:
    """Return one code for why an interaction waits; `explain` says more."""
    line = interaction.line
    if line is None:
        return Reason.NO_CONFIGURATION
    if line.asleep:
        return "MATCH_WINDOW" if line.queue.match_window_ms and not line.queue.delay_ms else "DELAYED"
    if line.reserved_for:
        return "KEPT_FOR_AGENT"
    return "NO_ELIGIBLE_AGENT_AVAILABLE" if line.requirement_set.groups else "NO_AGENT_WITH_SKILLS"


def agent(engine: Engine, agent_id: str) -> AgentNow | None:
    """Return one agent; None when the pool does not know them."""
    found = engine.core.agents.get(agent_id)
    return None if found is None else _agent_now(engine.core, found)


def agents(engine: Engine, after: str, size: int) -> list[AgentNow]:
    """Return agents in the order of their ids, after one of them."""
    known = sorted(agent_id for agent_id in engine.core.agents if agent_id > after)
    return [_agent_now(engine.core, engine.core.agents[agent_id]) for agent_id in known[:size]]


def _agent_now(core: PoolState, found: Agent) -> AgentNow:
    idle = found.state is AgentState.AVAILABLE and not found.load
    return AgentNow(found.profile, snapshot_notice(core, found), found.state_since, found.ranked_since if idle else 0)


def gauges(engine: Engine, now: int) -> tuple[dict[str, tuple[int, int]], dict[str, int], int, int]:
    """Return numbers for metrics: per queue (waiting, longest waiting time, ms); signed-in agents by state; their weight in use and capacity."""
    core = engine.core
    lines: dict[str, tuple[int, int]] = {}
    for queue in core.config.queues if core.config is not None else ():
        # The heads are not enough: the most urgent need not be the one that has waited longest.
        found_in = core.lines.of_queue(queue.name)
        longest = max(
            (core.interactions[rank[2]].waited_ms(now) for line in found_in for rank in line.ranks), default=0
        )
        lines[queue.name] = (core.lines.waiting(queue.name), longest)
    states: dict[str, int] = {}
    used = total = 0
    for found in core.agents.values():
        if found.session_id:
            states[found.state.name.lower()] = states.get(found.state.name.lower(), 0) + 1
            mine, whole = core.used_total(found)
            used, total = used + mine, total + whole
    return lines, states, used, total
