"""Offers and assignments: how an interaction comes to an agent and leaves them. Only this module changes the ledger for them."""

from collections.abc import Iterable

from services.router.domain import effects as fx
from services.router.domain.assignment.exclusions import end_by_holding
from services.router.domain.assignment.parking import assignment_notice, park, resume
from services.router.domain.assignment.waiting import end_reservation, leave_line, place
from services.router.domain.model import OfferEnd, Stage
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import ACCEPTED, Agent, Interaction, Offer
from services.router.domain.pool.timers import Timer


def offer(
    core: PoolState,
    interaction: Interaction,
    agent: Agent,
    reason: str,
    rationale: fx.OfferRationale,
    offer_ms: int,
    parked: Iterable[Interaction],
) -> None:
    """Offer a waiting interaction to an agent, who parks something for it if necessary."""
    leave_line(core, interaction)
    for other in parked:
        park(core, other, interaction)
    epoch = core.event_number(interaction, reason)
    made = Offer(
        f"{interaction.attributes.interaction_id}.{epoch}",
        agent.profile.agent_id,
        core.now,
        core.now + offer_ms,
        reason,
    )
    interaction.offers[agent.profile.agent_id] = made
    interaction.rationale = rationale
    agent.offers[interaction.attributes.interaction_id] = None
    core.charge(agent, interaction.attributes.channel, 1)
    if core.roster.rotates:
        core.turns += 1
        agent.turn = core.turns
        core.dirty["a", agent.profile.agent_id] = None
    core.update_rank(agent)
    core.timers.arm(made.expires_at, Timer.OFFER, made.offer_id)
    core.effects.append(
        fx.Offered(
            interaction.attributes,
            epoch,
            reason,
            agent.profile.agent_id,
            made.offer_id,
            made.expires_at,
            rationale.eligible,
            rationale.considered,
        )
    )
    if not core.quiet:
        core.notify(agent, offer_notice(interaction, made))
    place(core, interaction)


def end_offer(
    core: PoolState, interaction: Interaction, agent_id: str, end: OfferEnd, reason: str, *, resumes: bool = True
) -> Agent:
    """End an offer without an assignment. The caller says where the interaction goes. Not `resumes`: the agent gets it next, without an
    offer, so what was parked for it stays parked."""
    ended = _take_offer(core, interaction, agent_id, int(end))
    agent = core.agents[agent_id]
    core.charge(agent, interaction.attributes.channel, -1)
    epoch = core.event_number(interaction, reason)
    core.effects.append(
        fx.OfferEnded(interaction.attributes, epoch, reason, agent.profile.agent_id, ended.offer_id, end)
    )
    if end is not OfferEnd.DECLINED:
        core.notify(agent, fx.RevokedNotice(ended.offer_id, reason))
    if resumes:
        resume(core, agent)
    core.update_rank(agent, freed=True)
    return agent


def _take_offer(core: PoolState, interaction: Interaction, agent_id: str, how: int) -> Offer:
    taken = interaction.offers.pop(agent_id)
    del core.agents[agent_id].offers[interaction.attributes.interaction_id]
    if len(interaction.ended) >= core.limits.ended_offers_kept:
        del interaction.ended[next(iter(interaction.ended))]
    interaction.ended[taken.offer_id] = (agent_id, how)
    return taken


def withdraw(core: PoolState, interaction: Interaction, reason: str, *, next_holder: str = "") -> None:
    """Take an interaction out of its line, and revoke its offers. `next_holder`: the agent who gets it now; see `end_offer`."""
    leave_line(core, interaction)
    for agent_id in list(interaction.offers):
        end_offer(core, interaction, agent_id, OfferEnd.REVOKED, reason, resumes=agent_id != next_holder)


def accepted(core: PoolState, interaction: Interaction, agent: Agent) -> None:
    """Assign to the agent what is offered to them; the offers to other agents are revoked."""
    leave_line(core, interaction)
    taken = _take_offer(core, interaction, agent.profile.agent_id, int(ACCEPTED))
    hold(core, interaction, agent, taken.reason, taken.offer_id)


def hold(
    core: PoolState, interaction: Interaction, agent: Agent, reason: str, offer_id: str = "", *, over: bool = False
) -> None:
    """Assign an interaction to the agent; the transferring agent of a warm transfer, and agents who have its offer, lose it."""
    queue = core.queue_of(interaction)
    warm = bool(interaction.agent_id)
    interaction.waited = interaction.waited_ms(core.now)
    if warm:
        transferring_agent = release(core, interaction, "TRANSFERRED")
        epoch = core.event_number(interaction, "TRANSFERRED")
        core.effects.append(
            fx.Transferred(
                interaction.attributes,
                epoch,
                "TRANSFERRED",
                transferring_agent.id,
                interaction.attributes.queue,
                agent.profile.agent_id,
            )
        )
    withdraw(core, interaction, "ACCEPTED_BY_ANOTHER")
    interaction.stage, interaction.agent_id, interaction.assigned_at = Stage.ASSIGNED, agent.profile.agent_id, core.now
    end_reservation(interaction)
    interaction.team_until, interaction.not_before, interaction.callback, interaction.unasked = 0, 0, False, False
    if interaction.attributes.preferred_team:
        core.refit(interaction, preferred_team="")
    if interaction.exclusions:
        end_by_holding(interaction, agent.profile.agent_id)
    agent.held[interaction.attributes.interaction_id] = None
    if not offer_id:  # an offer is in the ledger already
        core.charge(agent, interaction.attributes.channel, 1)
    agent.ranked_since = core.now
    if not core.quiet:
        core.dirty["a", agent.profile.agent_id] = None
    # A desk with few credits can show the next offer now, and an assignment may be interrupted where an offer may not.
    shows_more = bool(offer_id) and core.sessions[agent.session_id].credits > 0
    core.update_rank(agent, freed=shows_more or agent.group.capacity.interrupting)
    epoch = core.event_number(interaction, reason)
    core.effects.append(
        fx.Assigned(
            interaction.attributes,
            epoch,
            reason,
            agent.profile.agent_id,
            offer_id,
            interaction.waited,
            *interaction.announced,
            over_capacity=over,
        )
    )
    if not core.quiet:
        core.notify(agent, assignment_notice(interaction))
    if not warm:
        # After a lost agent it is assigned again: the customer was answered, and is counted once.
        first = interaction.answered_in != interaction.attributes.queue
        interaction.answered_in = interaction.attributes.queue
        tally = core.count(interaction.attributes.queue)
        in_time = queue is not None and interaction.waited <= queue.service_level_ms
        tally[0] += in_time and first
        tally[1] += first
        if first and queue is not None:
            core.begin_minute(queue)
        history = core.history(interaction.attributes.queue)
        left_waiting = core.lines.anything_waits(interaction.attributes.queue)
        staff = core.staff(interaction.attributes.queue)
        history.departed(
            core.now, interaction.waited, in_time=in_time, left_waiting=left_waiting, staff=staff, counts=first
        )


def release(core: PoolState, interaction: Interaction, reason: str) -> Agent:
    """Take an interaction from its holder. The caller says where it goes. Its queue's clock did not run while the agent held it."""
    agent = core.agents[interaction.agent_id]
    if interaction.stage is Stage.ASSIGNED:
        interaction.enqueued_at += core.now - interaction.assigned_at
    interaction.waiting_since = core.now
    del agent.held[interaction.attributes.interaction_id]
    if interaction.parked:
        interaction.parked = False
        del agent.parked[interaction.attributes.interaction_id]
    else:
        core.charge(agent, interaction.attributes.channel, -1, light=interaction.light)
    interaction.light = False
    if interaction.replies:
        interaction.replies = {}  # the next holder owes the customer a reply
    interaction.silent_since, interaction.warned_at, interaction.silence_at = 0, 0, 0
    agent.ranked_since = core.now
    interaction.agent_id, interaction.assigned_at, interaction.wrap_until = "", 0, 0
    interaction.announced = (-1, -1)
    if not core.quiet:
        core.dirty["a", agent.profile.agent_id] = None
        core.notify(agent, fx.EndedNotice(interaction.attributes.interaction_id, reason))
    resume(core, agent)
    core.update_rank(agent, freed=True)
    return agent


def drop(core: PoolState, interaction: Interaction) -> None:
    """Remove an interaction that is closed and that no agent holds."""
    leave_line(core, interaction)
    del core.interactions[interaction.attributes.interaction_id]
    if not core.quiet:
        core.dirty["i", interaction.attributes.interaction_id] = None


def offer_notice(interaction: Interaction, open_offer: Offer) -> fx.OfferNotice:
    """Return the notice of an offer as the agent's desk sees it."""
    return fx.OfferNotice(
        interaction.attributes, open_offer.offer_id, open_offer.expires_at, open_offer.offered_at, open_offer.reason
    )


def snapshot_notice(core: PoolState, agent: Agent) -> fx.SnapshotNotice:
    """Return the notice of everything that an agent has: offers and assignments."""
    used, total = core.used_total(agent)
    offered = [core.interactions[i] for i in sorted(agent.offers)]
    return fx.SnapshotNotice(
        agent.state,
        agent.session_id,
        used,
        total,
        tuple(offer_notice(interaction, interaction.offers[agent.profile.agent_id]) for interaction in offered),
        tuple(assignment_notice(core.interactions[i]) for i in sorted(agent.held)),
    )
