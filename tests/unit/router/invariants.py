"""Rules that must hold after every step, checked in a slow and obvious way, without the engine's indexes."""

from services.policy.model.routing import CapacityProfile
from services.router.domain.assignment.ineligibility import ineligibility
from services.router.domain.model import AgentState, Stage
from services.router.domain.pool.occupancy import rests
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent, Interaction


def check(core: PoolState) -> None:
    """Raise AssertionError when a rule is broken."""
    one_holder(core)
    for agent in core.agents.values():
        within_capacity(core, agent)
        stands_where_he_belongs(core, agent)
    for interaction in core.interactions.values():
        queue = core.queue_of(interaction)
        asked = queue is not None and 0 < len(interaction.offers) < queue.max_offers
        if interaction.stage is Stage.WAITING or asked:
            no_agent_could_take(core, interaction)


def one_holder(core: PoolState) -> None:
    """Check that each interaction is in one stage, with one agent at most, and within the limit of offers; and that these agents list it."""
    for interaction in core.interactions.values():
        offered = {a.id for a in core.agents.values() if interaction.id in a.offers}
        held = [a.id for a in core.agents.values() if interaction.id in a.held]
        assert offered == set(interaction.offers)
        assert held == ([interaction.agent_id] if interaction.agent_id else [])
        assert interaction.agent_id not in offered
        assert (interaction.id in core.agents[interaction.agent_id].parked if held else False) == interaction.parked
        queue = core.queue_of(interaction)
        most = max(1, queue.max_offers) if queue is not None else 0
        match interaction.stage:
            case Stage.WAITING:
                assert not offered
                assert core.config is None or interaction.line is not None
            case Stage.OFFERED:
                assert len(offered) > 0
                assert (interaction.line is not None) == (len(offered) < most)
            case Stage.SCHEDULED:
                assert (offered, held, interaction.line) == (set(), [], None)
                assert interaction.not_before > core.now
            case _:
                assert (offered, interaction.line) == (set(), None)
                assert held
    for agent in core.agents.values():
        assert set(agent.offers) | set(agent.held) <= set(core.interactions)


def holdings(core: PoolState, agent: Agent) -> dict[str, int]:
    """Return how many interactions of each channel an agent has, offered and held; parked ones take no capacity."""
    counts: dict[str, int] = {}
    for interaction in core.interactions.values():
        times = (agent.id in interaction.offers) + (interaction.agent_id == agent.id and not interaction.parked)
        if times:
            counts[interaction.attributes.channel] = counts.get(interaction.attributes.channel, 0) + times
    return counts


def profile_of(core: PoolState, agent: Agent) -> CapacityProfile:
    """Return the capacity profile that applies."""
    assert core.config is not None
    return core.config.profile(agent.profile.capacity_profile)


def weight(profile: CapacityProfile, channel: str) -> int:
    """Return what one interaction of a channel takes."""
    return next((c.weight for c in profile.channels if c.channel == channel), profile.default_weight)


def allowed(profile: CapacityProfile, counts: dict[str, int], replied: dict[str, int]) -> bool:
    """Whether holdings respect total, maxima and exclusive channels. The total may be exceeded by interactions that were replied to, whose
    customers wrote again."""
    lightest = {c.channel: c.weight if c.awaited_weight is None else c.awaited_weight for c in profile.channels}
    least = {c: weight(profile, c) * (n - replied.get(c, 0)) for c, n in counts.items()}
    light = sum(lightest.get(c, weight(profile, c)) * min(n, counts.get(c, 0)) for c, n in replied.items())
    if sum(least.values()) + light > profile.total:
        return False
    for channel in profile.channels:
        n = counts.get(channel.channel, 0)
        if channel.maximum and n > channel.maximum:
            return False
        if channel.exclusive and n and sum(counts.values()) > 1:
            return False
    return all(weight(profile, channel) > 0 for channel in counts)


def within_capacity(core: PoolState, agent: Agent) -> None:
    """Check that the agent is never over capacity, and that the ledger is right."""
    counts = holdings(core, agent)
    assert {channel: count for channel, count, _ in agent.load} == counts
    assert {channel: light for channel, _, light in agent.load if light} == light_holdings(core, agent)
    if core.config is not None and not forced(core, agent):
        assert allowed(profile_of(core, agent), counts, may_return(core, agent)), f"{agent.id} holds {counts}"


def light_holdings(core: PoolState, agent: Agent) -> dict[str, int]:
    """Return how many interactions of each channel have the weight for an awaited customer: held, not handed on, a reply sent in this turn."""
    counts: dict[str, int] = {}
    for interaction in core.interactions.values():
        channel = interaction.attributes.channel
        mine = interaction.agent_id == agent.id and interaction.stage is Stage.ASSIGNED and not interaction.parked
        if mine and True in interaction.replies.values() and core.config is not None:
            rule = next((c for c in profile_of(core, agent).channels if c.channel == channel), None)
            if rule is not None and rule.awaited_weight is not None and rule.awaited_weight != rule.weight:
                counts[channel] = counts.get(channel, 0) + 1
    return counts


def may_return(core: PoolState, agent: Agent) -> dict[str, int]:
    """Return how many interactions of each channel may have had a lower weight when the agent got something beside them."""
    counts: dict[str, int] = {}
    for interaction_id in agent.held:
        interaction = core.interactions[interaction_id]
        if interaction.replied:
            channel = interaction.attributes.channel
            counts[channel] = counts.get(channel, 0) + 1
    return counts


def forced(core: PoolState, agent: Agent) -> bool:
    """Whether a supervisor has exceeded the agent's limits, or a new configuration has lowered them below what the agent has."""
    return any(core.interactions[i].reason == "FORCED" for i in agent.held)


def may_be_offered(core: PoolState, agent: Agent) -> bool:
    """Whether the agent is available, has a session, has a credit left, has nothing parked, and does not rest."""
    session = core.sessions.get(agent.session_id)
    return (
        agent.state is AgentState.AVAILABLE
        and session is not None
        and session.attached
        and (not session.credits or len(agent.offers) < session.credits)
        and not agent.parked
        and not rests(agent, profile_of(core, agent), core.now)
    )


def stands_where_he_belongs(core: PoolState, agent: Agent) -> None:
    """Check that the agent is in a load bucket exactly when they may be offered something."""
    assert (agent.bucket is not None) == may_be_offered(core, agent)
    if agent.bucket is not None:
        assert (agent.ranked_since, agent.id) in agent.bucket.members
        assert agent.bucket.load == agent.load
    session = core.sessions.get(agent.session_id)
    assert session is None or session.agent_id == agent.id
    assert (agent.state is AgentState.OFFLINE) == (session is None)


def no_agent_could_take(core: PoolState, interaction: Interaction) -> None:
    """Check that an interaction waits only because no agent may take it now, or because those who may are kept free."""
    config = core.config
    if config is None:
        return
    queue = config.by_name[interaction.attributes.queue]
    able = [
        agent.id for agent in core.agents.values() if next(ineligibility(core, agent, interaction, queue), None) is None
    ]
    kept_free = 0 if interaction.reserved_for else queue.keep_free
    assert len(able) <= kept_free, f"{interaction.id} waits, {able} could take it"
