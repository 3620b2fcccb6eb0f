"""Answers to offers, and offers that nobody answered."""

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.estimates import Drain
from services.router.domain.interactions import NOT_YOURS
from services.router.domain.model import AgentState, OfferEnd, Stage
from services.router.domain.pool import Core, assignment_notice
from services.router.domain.state import ACCEPTED, Work

UNKNOWN_OFFER = "UNKNOWN_OFFER"
_LONGEST_RETRY_MS = 7 * 86_400_000
_ENDED = {
    ACCEPTED: "OFFER_ALREADY_ACCEPTED",
    OfferEnd.DECLINED: "OFFER_DECLINED",
    OfferEnd.EXPIRED: "OFFER_EXPIRED",
    OfferEnd.REVOKED: "OFFER_REVOKED",
}


def _standing(core: Core, offer_id: str, agent_id: str) -> Work | str:
    """The interaction whose offer this is, if it stands and is the agent's; otherwise why not."""
    work = core.works.get(offer_id.rpartition(".")[0])
    if work is None:
        return UNKNOWN_OFFER
    if work.offer is not None and work.offer.offer_id == offer_id:
        return work if work.offer.agent_id == agent_id else NOT_YOURS
    ended, whose, how = work.ended
    if ended != offer_id:
        return UNKNOWN_OFFER
    return _ENDED[OfferEnd(how)] if whose == agent_id else NOT_YOURS


def accept(core: Core, command: cmd.AcceptOffer) -> str:
    """The agent takes it: from now on he holds it."""
    work = _standing(core, command.offer_id, command.agent_id)
    if isinstance(work, str):
        return work
    offer = work.offer
    assert offer is not None
    agent = core.agents[offer.agent_id]
    work.waited = work.waited_ms(core.now)
    work.stage, work.offer = Stage.ASSIGNED, None
    work.ended = (offer.offer_id, agent.id, int(ACCEPTED))
    work.agent_id, work.assigned_at = agent.id, core.now
    work.reserved_for, work.reserved_until = "", 0
    work.declined.clear()
    del agent.offers[work.id]
    agent.held[work.id] = None
    agent.ranked_since = core.now
    core.dirty["a", agent.id] = None
    core.stand(agent, freed=True)  # a desk with few credits can show the next one now
    epoch = core.event_number(work, offer.reason)
    core.effects.append(fx.Assigned(work.facts, epoch, offer.reason, agent.id, offer.offer_id, work.waited))
    core.tell(agent, assignment_notice(work))
    _departed(core, work)
    return ""


def _departed(core: Core, work: Work) -> None:
    name = work.facts.queue
    drain = core.drains.get(name)
    if drain is None:
        drain = core.drains[name] = Drain()
    drain.departed(core.now, core.lines.waiting(name) > 0)
    core.dirty["q", name] = None
    queue = core.queue_of(work)
    tally = core.count(name)
    tally[1] += 1
    if queue is not None and work.waited <= queue.service_level_ms:
        tally[0] += 1


def decline(core: Core, command: cmd.DeclineOffer) -> str:
    """The agent does not take it; he is not asked again until his retry time, or until he signs in anew."""
    work = _standing(core, command.offer_id, command.agent_id)
    if isinstance(work, str):
        return work
    agent = core.end_offer(work, OfferEnd.DECLINED, command.reason or "DECLINED")
    retry = min(command.retry_after_ms, _LONGEST_RETRY_MS)
    work.declined[agent.id] = core.now + retry if retry > 0 else -agent.sign_in
    core.place(work)
    return ""


def expired(core: Core, work: Work) -> None:
    """Nobody answered: the work keeps its place, and the agent gets nothing until he says that he is back."""
    agent = core.end_offer(work, OfferEnd.EXPIRED, "NO_ANSWER")
    core.place(work)
    core.set_state(agent, AgentState.NOT_RESPONDING, "NO_ANSWER")
