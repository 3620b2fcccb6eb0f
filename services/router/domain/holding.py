"""Offers and assignments: how an interaction comes to an agent and leaves them. Only this module changes the ledger for them."""

from collections.abc import Iterable

from services.router.domain import effects as fx
from services.router.domain.model import OfferEnd, Stage
from services.router.domain.parking import assignment_notice, park, resume
from services.router.domain.pool import Core
from services.router.domain.state import ACCEPTED, Agent, Offer, Work
from services.router.domain.timers import Timer
from services.router.domain.waiting import end_reservation, leave_line, place

_ENDED_KEPT = 8


def offer(
    core: Core, work: Work, agent: Agent, reason: str, decision: fx.Decision, offer_ms: int, parked: Iterable[Work]
) -> None:
    """Offer a waiting interaction to an agent, who parks something for it if necessary."""
    leave_line(core, work)
    for other in parked:
        park(core, other, work)
    epoch = core.event_number(work, reason)
    made = Offer(f"{work.facts.interaction_id}.{epoch}", agent.profile.agent_id, core.now, core.now + offer_ms, reason)
    work.offers[agent.profile.agent_id] = made
    work.decision = decision
    agent.offers[work.facts.interaction_id] = None
    core.charge(agent, work.facts.channel, 1)
    if core.roster.rotates:
        core.turns += 1
        agent.turn = core.turns
        core.dirty["a", agent.profile.agent_id] = None
    core.stand(agent)
    core.timers.arm(made.expires_at, Timer.OFFER, made.offer_id)
    core.effects.append(
        fx.Offered(
            work.facts,
            epoch,
            reason,
            agent.profile.agent_id,
            made.offer_id,
            made.expires_at,
            decision.eligible,
            decision.considered,
        )
    )
    core.tell(agent, offer_notice(work, made))
    place(core, work)


def end_offer(core: Core, work: Work, agent_id: str, end: OfferEnd, reason: str) -> Agent:
    """End an offer without an assignment. The caller says where the interaction goes."""
    ended = _take_offer(core, work, agent_id, int(end))
    agent = core.agents[agent_id]
    core.charge(agent, work.facts.channel, -1)
    epoch = core.event_number(work, reason)
    core.effects.append(fx.OfferEnded(work.facts, epoch, reason, agent.profile.agent_id, ended.offer_id, end))
    if end is not OfferEnd.DECLINED:
        core.tell(agent, fx.RevokedNotice(ended.offer_id, reason))
    resume(core, agent)
    core.stand(agent, freed=True)
    return agent


def _take_offer(core: Core, work: Work, agent_id: str, how: int) -> Offer:
    taken = work.offers.pop(agent_id)
    del core.agents[agent_id].offers[work.facts.interaction_id]
    if len(work.ended) >= _ENDED_KEPT:
        del work.ended[next(iter(work.ended))]
    work.ended[taken.offer_id] = (agent_id, how)
    return taken


def withdraw(core: Core, work: Work, reason: str) -> None:
    """Take an interaction out of its line, and revoke its offers."""
    leave_line(core, work)
    for agent_id in list(work.offers):
        end_offer(core, work, agent_id, OfferEnd.REVOKED, reason)


def accepted(core: Core, work: Work, agent: Agent) -> None:
    """Assign to the agent what is offered to them; the offers to other agents are revoked."""
    leave_line(core, work)
    taken = _take_offer(core, work, agent.profile.agent_id, int(ACCEPTED))
    hold(core, work, agent, taken.reason, taken.offer_id)


def hold(core: Core, work: Work, agent: Agent, reason: str, offer_id: str = "", *, over: bool = False) -> None:
    """Assign an interaction to the agent; the transferring agent of a warm transfer, and agents who have its offer, lose it."""
    queue = core.queue_of(work)
    warm = bool(work.agent_id)
    work.waited = work.waited_ms(core.now)
    if warm:
        giver = release(core, work, "TRANSFERRED")
        epoch = core.event_number(work, "TRANSFERRED")
        core.effects.append(
            fx.Transferred(work.facts, epoch, "TRANSFERRED", giver.id, work.facts.queue, agent.profile.agent_id)
        )
    withdraw(core, work, "ACCEPTED_BY_ANOTHER")
    work.stage, work.agent_id, work.assigned_at = Stage.ASSIGNED, agent.profile.agent_id, core.now
    end_reservation(work)
    work.team_until, work.not_before, work.callback, work.unasked = 0, 0, False, False
    if work.facts.preferred_team:
        core.refit(work, preferred_team="")
    work.declined.pop(agent.profile.agent_id, None)
    work.giver = ("", 0)
    agent.held[work.facts.interaction_id] = None
    if not offer_id:  # an offer is in the ledger already
        core.charge(agent, work.facts.channel, 1)
    agent.ranked_since = core.now
    core.dirty["a", agent.profile.agent_id] = None
    # A desk with few credits can show the next offer now, and an assignment may be interrupted where an offer may not.
    shows_more = bool(offer_id) and core.sessions[agent.session_id].credits > 0
    core.stand(agent, freed=shows_more or agent.kind.capacity.interrupting)
    epoch = core.event_number(work, reason)
    core.effects.append(
        fx.Assigned(
            work.facts,
            epoch,
            reason,
            agent.profile.agent_id,
            offer_id,
            work.waited,
            *work.announced,
            over_capacity=over,
        )
    )
    core.tell(agent, assignment_notice(work))
    if not warm:
        tally = core.count(work.facts.queue)
        in_time = queue is not None and work.waited <= queue.service_level_ms
        tally[0] += in_time
        tally[1] += 1
        history = core.history(work.facts.queue)
        begins = not history.adapts_at
        left_waiting = core.lines.anything_waits(work.facts.queue)
        history.departed(core.now, work.waited, in_time=in_time, left_waiting=left_waiting)
        if begins and queue is not None:
            core.watch_level(queue)


def release(core: Core, work: Work, reason: str) -> Agent:
    """Take an interaction from its holder. The caller says where it goes. Its queue's clock did not run while the agent held it."""
    agent = core.agents[work.agent_id]
    if work.stage is Stage.ASSIGNED:
        work.enqueued_at += core.now - work.assigned_at
    work.waiting_since = core.now
    del agent.held[work.facts.interaction_id]
    if work.parked:
        work.parked = False
        del agent.parked[work.facts.interaction_id]
    else:
        core.charge(agent, work.facts.channel, -1)
    agent.ranked_since = core.now
    work.agent_id, work.assigned_at, work.wrap_until = "", 0, 0
    work.announced = (-1, -1)
    core.dirty["a", agent.profile.agent_id] = None
    core.tell(agent, fx.EndedNotice(work.facts.interaction_id, reason))
    resume(core, agent)
    core.stand(agent, freed=True)
    return agent


def drop(core: Core, work: Work) -> None:
    """Remove an interaction that is closed and that no agent holds."""
    leave_line(core, work)
    del core.works[work.facts.interaction_id]
    core.dirty["i", work.facts.interaction_id] = None


def offer_notice(work: Work, standing: Offer) -> fx.OfferNotice:
    """Return the notice of an offer as the agent's desk sees it."""
    return fx.OfferNotice(work.facts, standing.offer_id, standing.expires_at, standing.offered_at, standing.reason)


def snapshot_notice(core: Core, agent: Agent) -> fx.SnapshotNotice:
    """Return the notice of everything that an agent has: offers and assignments."""
    used, total = core.used_total(agent)
    offered = [core.works[i] for i in sorted(agent.offers)]
    return fx.SnapshotNotice(
        agent.state,
        agent.session_id,
        used,
        total,
        tuple(offer_notice(work, work.offers[agent.profile.agent_id]) for work in offered),
        tuple(assignment_notice(core.works[i]) for i in sorted(agent.held)),
    )
