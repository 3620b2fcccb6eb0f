"""Rules that must hold after every step, checked in a slow and obvious way, without the engine's indexes."""

from services.router.domain.causes import causes
from services.router.domain.model import AgentState, CapacityProfile, Stage
from services.router.domain.occupancy import rests
from services.router.domain.pool import Core
from services.router.domain.state import Agent, Work


def check(core: Core) -> None:
    """Raise AssertionError when a rule is broken."""
    one_holder(core)
    for agent in core.agents.values():
        within_capacity(core, agent)
        stands_where_he_belongs(core, agent)
    for work in core.works.values():
        queue = core.queue_of(work)
        asked = queue is not None and 0 < len(work.offers) < queue.max_offers
        if work.stage is Stage.WAITING or asked:
            nobody_could_take(core, work)


def one_holder(core: Core) -> None:
    """Check that each interaction is in one stage, with one agent at most, and within the limit of offers; and that these agents list it."""
    for work in core.works.values():
        offered = {a.id for a in core.agents.values() if work.id in a.offers}
        held = [a.id for a in core.agents.values() if work.id in a.held]
        assert offered == set(work.offers)
        assert held == ([work.agent_id] if work.agent_id else [])
        assert work.agent_id not in offered
        assert (work.id in core.agents[work.agent_id].parked if held else False) == work.parked
        queue = core.queue_of(work)
        most = max(1, queue.max_offers) if queue is not None else 0
        match work.stage:
            case Stage.WAITING:
                assert not offered
                assert core.config is None or work.line is not None
            case Stage.OFFERED:
                assert len(offered) > 0
                assert (work.line is not None) == (len(offered) < most)
            case Stage.SCHEDULED:
                assert (offered, held, work.line) == (set(), [], None)
                assert work.not_before > core.now
            case _:
                assert (offered, work.line) == (set(), None)
                assert held
    for agent in core.agents.values():
        assert set(agent.offers) | set(agent.held) <= set(core.works)


def holdings(core: Core, agent: Agent) -> dict[str, int]:
    """Return how many interactions of each channel an agent has, offered and held; parked ones take no capacity."""
    counts: dict[str, int] = {}
    for work in core.works.values():
        times = (agent.id in work.offers) + (work.agent_id == agent.id and not work.parked)
        if times:
            counts[work.facts.channel] = counts.get(work.facts.channel, 0) + times
    return counts


def profile_of(core: Core, agent: Agent) -> CapacityProfile:
    """Return the capacity profile that applies."""
    assert core.config is not None
    return core.config.profile(agent.profile.capacity_profile)


def weight(profile: CapacityProfile, channel: str) -> int:
    """Return what one interaction of a channel takes."""
    return next((c.weight for c in profile.channels if c.channel == channel), profile.default_weight)


def allowed(profile: CapacityProfile, counts: dict[str, int]) -> bool:
    """Whether holdings respect total, maxima and exclusive channels."""
    if sum(weight(profile, channel) * n for channel, n in counts.items()) > profile.total:
        return False
    for channel in profile.channels:
        n = counts.get(channel.channel, 0)
        if channel.maximum and n > channel.maximum:
            return False
        if channel.exclusive and n and sum(counts.values()) > 1:
            return False
    return all(weight(profile, channel) > 0 for channel in counts)


def within_capacity(core: Core, agent: Agent) -> None:
    """Check that the agent is never over capacity, and that the ledger is right."""
    counts = holdings(core, agent)
    assert dict(agent.load) == counts
    if core.config is not None and not forced(core, agent):
        assert allowed(profile_of(core, agent), counts), f"{agent.id} holds {counts}"


def forced(core: Core, agent: Agent) -> bool:
    """Whether a supervisor has exceeded the agent's limits, or a new configuration has lowered them below what the agent has."""
    return any(core.works[i].reason == "FORCED" for i in agent.held)


def may_be_offered(core: Core, agent: Agent) -> bool:
    """Whether the agent is available, has a session, has a credit left, has nothing parked, and does not rest."""
    session = core.sessions.get(agent.session_id)
    return (
        agent.state is AgentState.AVAILABLE
        and session is not None
        and session.attached
        and (not session.credits or len(agent.offers) < session.credits)
        and not agent.parked
        and agent.kind is not None
        and not rests(agent, profile_of(core, agent), core.now)
    )


def stands_where_he_belongs(core: Core, agent: Agent) -> None:
    """Check that the agent is in a cell exactly when they may be offered something."""
    assert (agent.cell is not None) == (agent.kind is not None and may_be_offered(core, agent))
    if agent.cell is not None:
        assert (agent.ranked_since, agent.id) in agent.cell.members
        assert agent.cell.load == agent.load
    session = core.sessions.get(agent.session_id)
    assert session is None or session.agent_id == agent.id
    assert (agent.state is AgentState.OFFLINE) == (session is None)


def nobody_could_take(core: Core, work: Work) -> None:
    """Check that an interaction waits only because no agent may take it now, or because those who may are kept free."""
    config = core.config
    if config is None:
        return
    queue = config.by_name[work.facts.queue]
    able = [agent.id for agent in core.agents.values() if next(causes(core, agent, work, queue), None) is None]
    kept_free = 0 if work.reserved_for else queue.keep_free
    assert len(able) <= kept_free, f"{work.id} waits, {able} could take it"
