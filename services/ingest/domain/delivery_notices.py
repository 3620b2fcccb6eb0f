"""What the sender reports to the lane of the customer: an agent's reply has failed, nothing can reach the address, or something can
again.

The sender knows the delivery; the lane of the customer knows whether the interaction has ended, and where surveys would go.
"""

from dataclasses import replace
from typing import Final

from services.ingest.domain.channel_rules import channel_rules
from services.ingest.domain.deliveries import (
    Delivery,
    DeliveryChanged,
    DeliveryNoticed,
    SenderConversation,
    SendingDecision,
)
from services.ingest.domain.delivery_facts import DeliveryState
from services.ingest.domain.messages import Purpose

_ADDRESS: Final = frozenset(
    {
        "BOUNCED_5_1_0",
        "BOUNCED_5_1_1",
        "BOUNCED_5_1_2",
        "BOUNCED_5_1_10",
        "BOUNCED_5_2_1",
        "BOUNCED_5_4_1",
        "BOUNCED_5_4_4",
        "WHATSAPP_131026",
        "WHATSAPP_131030",
    }
)
"""Reasons which say that nothing can reach the address. A full mailbox or a refused text is not among them."""
_AGENT: Final = 2


def address_failed(delivery: Delivery, reason: str) -> bool:
    """Return whether a failure says that nothing can reach the customer's address."""
    return delivery.unreachable or reason in _ADDRESS


def noticed(decision: SendingDecision) -> SendingDecision:
    """Return the decision with what the customer's lane must know of its effects."""
    conversation, out = decision.conversation, list(decision.effects)
    route = conversation.route
    if route is None:
        return decision
    for effect in decision.effects:
        if not isinstance(effect, DeliveryChanged) or effect.verdict is None:
            continue
        delivery, state = effect.delivery, effect.state
        if state is DeliveryState.FAILED:
            failed = address_failed(delivery, effect.reason)
            if failed or _of_an_agent(delivery):
                out.append(DeliveryNoticed(delivery, route, state, effect.reason, failed))
            conversation = replace(conversation, address_failed=conversation.address_failed or failed)
        elif conversation.address_failed and _arrived(conversation, state):
            out.append(DeliveryNoticed(delivery, route, state, "", False))
            conversation = replace(conversation, address_failed=False)
    return replace(decision, conversation=conversation, effects=tuple(out))


def _of_an_agent(delivery: Delivery) -> bool:
    request = delivery.request
    return request.purpose is Purpose.REPLY and request.author_kind == _AGENT and bool(request.interaction_id)


def _arrived(conversation: SenderConversation, state: DeliveryState) -> bool:
    """Return whether the state says that the address works: on a channel with reports, SENT does not."""
    assert conversation.route is not None
    rules = channel_rules(conversation.route.identity.channel)
    reports = rules is not None and rules.reports
    return state in (DeliveryState.DELIVERED, DeliveryState.READ) or (state is DeliveryState.SENT and not reports)
