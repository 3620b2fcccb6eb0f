"""Answers to offers, and offers that expired without an answer."""

from services.router.domain import commands as cmd
from services.router.domain.assignment.exclusions import exclude
from services.router.domain.assignment.ledger import accepted, end_offer
from services.router.domain.assignment.waiting import leave_line, place
from services.router.domain.handlers.agent_state import set_state
from services.router.domain.model import AgentState, ExclusionReason, OfferEnd
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import ACCEPTED, Interaction
from services.router.domain.reasons import Reason

_LONGEST_RETRY_MS = 7 * 86_400_000
_ENDED = {
    ACCEPTED: Reason.OFFER_ALREADY_ACCEPTED,
    OfferEnd.DECLINED: Reason.OFFER_DECLINED,
    OfferEnd.EXPIRED: Reason.OFFER_EXPIRED,
    OfferEnd.REVOKED: Reason.OFFER_REVOKED,
}


def _standing(core: PoolState, offer_id: str, agent_id: str) -> Interaction | str:
    """Return the interaction of an offer, if the offer is open and belongs to the agent; otherwise the reason code."""
    interaction = core.interactions.get(offer_id.rpartition(".")[0])
    if interaction is None:
        return Reason.UNKNOWN_OFFER
    for offer in interaction.offers.values():
        if offer.offer_id == offer_id:
            return interaction if offer.agent_id == agent_id else Reason.NOT_YOURS
    whose, how = interaction.ended.get(offer_id, ("", 0))
    if not whose:
        return Reason.UNKNOWN_OFFER
    return _ENDED[OfferEnd(how)] if whose == agent_id else Reason.NOT_YOURS


def accept(core: PoolState, command: cmd.AcceptOffer) -> str:
    """Accept an offer: from now on the agent holds the interaction."""
    interaction = _standing(core, command.offer_id, command.agent_id)
    if isinstance(interaction, str):
        return interaction
    accepted(core, interaction, core.agents[command.agent_id])
    return ""


def decline(core: PoolState, command: cmd.DeclineOffer) -> str:
    """Decline an offer: the agent is not asked again until their retry time, or until they sign in again."""
    interaction = _standing(core, command.offer_id, command.agent_id)
    if isinstance(interaction, str):
        return interaction
    agent = end_offer(core, interaction, command.agent_id, OfferEnd.DECLINED, command.reason or "DECLINED")
    retry = min(command.retry_after_ms, _LONGEST_RETRY_MS)
    exclude(core, interaction, agent, ExclusionReason.DECLINED, core.now + retry if retry > 0 else -agent.sign_in)
    leave_line(core, interaction)
    place(core, interaction)
    return ""


def expired(core: PoolState, interaction: Interaction, offer_id: str) -> None:
    """End an offer that was not answered: the interaction keeps its place, and the agent gets nothing until they become available again."""
    agent_id = next(offer.agent_id for offer in interaction.offers.values() if offer.offer_id == offer_id)
    agent = end_offer(core, interaction, agent_id, OfferEnd.EXPIRED, "NO_ANSWER")
    exclude(core, interaction, agent, ExclusionReason.NOT_ANSWERED)
    leave_line(core, interaction)
    place(core, interaction)
    set_state(core, agent, AgentState.NOT_RESPONDING, "NO_ANSWER")
