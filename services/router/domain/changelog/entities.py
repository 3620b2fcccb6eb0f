"""Convert interactions, agents and sessions to entries of the changelog, and back.

Both are made by position: by keyword, an entry of 29 fields takes ten times as long. The values of an entry are read by name, so a test that
writes and reads notices two fields in the wrong order.
"""

from services.policy.model.interning import name, whole
from services.policy.model.routing import AgentProfile
from services.router.domain.changelog.selectors import dump_selectors, load_selectors
from services.router.domain.commands import ReplyTo
from services.router.domain.effects import OfferRationale
from services.router.domain.entries import (
    AgentEntry,
    AttributesEntry,
    ExclusionEntry,
    InteractionEntry,
    OfferEntry,
    ProfileEntry,
    RationaleEntry,
    SessionEntry,
)
from services.router.domain.model import ExclusionReason, InteractionAttributes
from services.router.domain.pool.state import Agent, Exclusion, Interaction, Offer, Session


def dump_interaction(interaction: Interaction) -> InteractionEntry:
    """Return the entry of an interaction."""
    rationale = interaction.rationale
    return InteractionEntry(
        _dump_attributes(interaction.attributes),
        interaction.stage,
        interaction.enqueued_at,
        interaction.waiting_since,
        interaction.waited,
        interaction.epoch,
        tuple(
            [
                OfferEntry(o.offer_id, o.agent_id, o.offered_at, o.expires_at, o.reason)
                for o in interaction.offers.values()
            ]
        ),
        interaction.agent_id,
        interaction.assigned_at,
        interaction.wrap_until,
        interaction.replied,
        interaction.parked,
        tuple(
            [
                ExclusionEntry(agent_id, e.ends, e.reason, e.since)
                for agent_id, exclusions in interaction.exclusions.items()
                for e in exclusions
            ]
        ),
        ("", 0),
        interaction.reserved_for,
        interaction.reserved_until,
        interaction.handed_on,
        interaction.team_until,
        interaction.not_before,
        interaction.callback,
        interaction.key,
        interaction.shift_ms,
        interaction.overflowed,
        interaction.announced,
        tuple([(offer_id, agent_id, how) for offer_id, (agent_id, how) in interaction.ended.items()]),
        interaction.reason,
        interaction.decided_at,
        RationaleEntry(
            rationale.at_ms,
            rationale.eligible,
            rationale.considered,
            rationale.candidates,
            rationale.matched,
            rationale.total,
        ),
        interaction.unasked,
        interaction.answered_in,
        tuple(interaction.replies.items()) if interaction.replies else (),
        interaction.silent_since,
        interaction.warned_at,
    )


def load_interaction(entry: InteractionEntry) -> Interaction:
    """Return the interaction of an entry."""
    why = entry.rationale
    candidates = tuple(
        [(agent, tuple([(name(measure), value) for measure, value in measures])) for agent, measures in why.candidates]
    )
    return Interaction(
        _load_attributes(entry.attributes),
        entry.stage,
        entry.enqueued_at,
        entry.waiting_since,
        entry.waited,
        entry.epoch,
        {o.agent_id: Offer(o.offer_id, o.agent_id, o.offered_at, o.expires_at, o.reason) for o in entry.offers},
        entry.agent_id,
        entry.assigned_at,
        entry.wrap_until,
        entry.replied,
        entry.parked,
        _load_exclusions(entry),
        entry.reserved_for,
        entry.reserved_until,
        entry.handed_on,
        entry.team_until,
        entry.not_before,
        entry.callback,
        entry.key,
        entry.shift_ms,
        entry.overflowed,
        entry.announced,
        {offer_id: (agent_id, how) for offer_id, agent_id, how in entry.ended},
        entry.reason,
        entry.decided_at,
        OfferRationale(why.at_ms, why.eligible, why.considered, candidates, why.matched, why.total),
        entry.unasked,
        entry.answered_in,
        dict(entry.replies),
        entry.silent_since,
        entry.warned_at,
    )


def _load_exclusions(entry: InteractionEntry) -> dict[str, tuple[Exclusion, ...]]:
    found: dict[str, tuple[Exclusion, ...]] = {}
    for e in entry.exclusions:
        found[e.agent_id] = (*found.get(e.agent_id, ()), Exclusion(e.reason, e.since, e.ends))
    agent_id, sign_in = entry.transferring_agent
    if agent_id:
        transferred = Exclusion(ExclusionReason.TRANSFERRING_AGENT, 0, -sign_in)
        found[agent_id] = (*found.get(agent_id, ()), transferred)
    return found


def _dump_attributes(attributes: InteractionAttributes) -> AttributesEntry:
    return AttributesEntry(
        attributes.interaction_id,
        attributes.conversation_id,
        attributes.person_id,
        attributes.identity_id,
        attributes.channel,
        attributes.account,
        attributes.language,
        attributes.queue,
        attributes.priority,
        dump_selectors(attributes.requirements) if attributes.requirements else (),
        attributes.labels,
        attributes.arrived_at_ms,
        attributes.rule,
        attributes.public,
        attributes.due_at_ms,
        attributes.start_at_ms,
        attributes.preferred_agent,
        attributes.preferred_team,
        attributes.automatic,
    )


def _load_attributes(entry: AttributesEntry) -> InteractionAttributes:
    return InteractionAttributes(
        entry.interaction_id,
        entry.conversation_id,
        entry.person_id,
        entry.identity_id,
        name(entry.channel),
        name(entry.account),
        name(entry.language),
        name(entry.queue),
        entry.priority,
        load_selectors(entry.requirements) if entry.requirements else (),
        whole(tuple([(name(key), value) for key, value in entry.labels])) if entry.labels else (),
        entry.arrived_at_ms,
        name(entry.rule),
        entry.public,
        entry.due_at_ms,
        entry.start_at_ms,
        entry.preferred_agent,
        entry.preferred_team,
        entry.automatic,
    )


def dump_agent(agent: Agent) -> AgentEntry:
    """Return the entry of an agent."""
    p = agent.profile
    return AgentEntry(
        ProfileEntry(p.agent_id, p.display_name, p.skills, p.capacity_profile, p.queues, p.team),
        agent.state,
        agent.state_since,
        agent.session_id,
        agent.sign_in,
        agent.ranked_since,
        agent.grace_until,
        agent.epoch,
        agent.lost,
        agent.state_reason,
        agent.turn,
        agent.debt,
        agent.debt_at,
        agent.configured,
    )


def load_agent(entry: AgentEntry) -> Agent:
    """Return the agent of an entry. They have no group yet."""
    profile = entry.profile
    return Agent(
        AgentProfile(
            profile.agent_id,
            profile.display_name,
            whole(tuple([whole((name(skill), level)) for skill, level in profile.skills])),
            name(profile.capacity_profile),
            whole(tuple([name(queue) for queue in profile.queues])),
            name(profile.team),
        ),
        entry.state,
        entry.state_since,
        entry.session_id,
        entry.sign_in,
        entry.ranked_since,
        entry.grace_until,
        entry.epoch,
        entry.lost,
        entry.state_reason,
        entry.turn,
        entry.debt,
        entry.debt_at,
        entry.configured,
    )


def dump_session(session: Session) -> SessionEntry:
    """Return the entry of a session."""
    return SessionEntry(
        session.session_id,
        session.agent_id,
        session.gateway.gateway_id,
        session.gateway.partition,
        session.credits,
        session.lease_until,
        session.attached,
    )


def load_session(entry: SessionEntry) -> Session:
    """Return the session of an entry."""
    return Session(
        session_id=entry.session_id,
        agent_id=entry.agent_id,
        gateway=ReplyTo(entry.gateway_id, entry.partition),
        credits=entry.credits,
        lease_until=entry.lease_until,
        attached=entry.attached,
    )
