"""What must hold after every step, checked the slow and obvious way, without the engine's indexes."""

from services.router.domain.eligibility import active, meets_all
from services.router.domain.model import AgentState, CapacityProfile, Stage
from services.router.domain.pool import Core
from services.router.domain.state import Agent, Work


def check(core: Core) -> None:
    """Raises AssertionError when a promise is broken."""
    one_holder(core)
    for agent in core.agents.values():
        within_capacity(core, agent)
        stands_where_he_belongs(core, agent)
    for work in core.works.values():
        if work.stage is Stage.WAITING:
            nobody_could_take(core, work)


def one_holder(core: Core) -> None:
    """Each interaction is in one stage, and with one agent at most, who knows of it."""
    for work in core.works.values():
        offered = [a.id for a in core.agents.values() if work.id in a.offers]
        held = [a.id for a in core.agents.values() if work.id in a.held]
        match work.stage:
            case Stage.WAITING:
                assert (offered, held, work.offer, work.agent_id) == ([], [], None, "")
                assert core.config is None or work.line is not None
            case Stage.OFFERED:
                assert work.offer is not None
                assert (offered, held, work.line) == ([work.offer.agent_id], [], None)
            case _:
                assert (offered, held, work.offer, work.line) == ([], [work.agent_id], None, None)
    for agent in core.agents.values():
        assert set(agent.offers) | set(agent.held) <= set(core.works)


def holdings(core: Core, agent: Agent) -> dict[str, int]:
    """How many of each channel an agent has, offered and held."""
    counts: dict[str, int] = {}
    for work in core.works.values():
        holder = work.offer.agent_id if work.offer is not None else work.agent_id
        if holder == agent.id:
            counts[work.facts.channel] = counts.get(work.facts.channel, 0) + 1
    return counts


def profile_of(core: Core, agent: Agent) -> CapacityProfile:
    """The capacity profile that counts."""
    assert core.config is not None
    return core.config.profile(agent.profile.capacity_profile)


def weight(profile: CapacityProfile, channel: str) -> int:
    """What one interaction of a channel takes."""
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
    """Never over capacity, and the ledger tells the truth."""
    counts = holdings(core, agent)
    assert dict(agent.load) == counts
    if core.config is not None:
        assert allowed(profile_of(core, agent), counts), f"{agent.id} holds {counts}"


def may_be_offered(core: Core, agent: Agent) -> bool:
    """Available, at a desk, with a credit left."""
    session = core.sessions.get(agent.session_id)
    return (
        agent.state is AgentState.AVAILABLE
        and session is not None
        and session.attached
        and (not session.credits or len(agent.offers) < session.credits)
    )


def stands_where_he_belongs(core: Core, agent: Agent) -> None:
    """In a cell exactly when he may be offered something."""
    assert (agent.cell is not None) == (agent.kind is not None and may_be_offered(core, agent))
    if agent.cell is not None:
        assert (agent.ranked_since, agent.id) in agent.cell.members
        assert agent.cell.load == agent.load
    session = core.sessions.get(agent.session_id)
    assert session is None or session.agent_id == agent.id
    assert (agent.state is AgentState.OFFLINE) == (session is None)


def nobody_could_take(core: Core, work: Work) -> None:
    """Work conservation: what waits, waits because nobody may take it now."""
    config = core.config
    if config is None:
        return
    queue = config.by_name[work.facts.queue]
    needed = active(queue.requirements + work.facts.requirements, core.now - work.enqueued_at)
    forced = bool(work.reserved_for) and not work.reserved_until
    for agent in core.agents.values():
        if not may_be_offered(core, agent) or (work.reserved_for and agent.id != work.reserved_for):
            continue
        until = work.declined.get(agent.id)
        if until is not None and (until > core.now or -until == agent.sign_in):
            continue
        skilled = forced or (
            (not agent.profile.queues or queue.name in agent.profile.queues)
            and meets_all(needed, dict(agent.profile.skills))
        )
        counts = holdings(core, agent)
        counts[work.facts.channel] = counts.get(work.facts.channel, 0) + 1
        assert not (skilled and allowed(profile_of(core, agent), counts)), f"{work.id} waits, {agent.id} could take it"
