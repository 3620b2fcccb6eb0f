"""What the lane of an identity does with facts about deliveries: it passes them to the conversation whose lane sends.

A status report names its conversation, or the customer's newest conversations are asked. A bounce names its conversation
by our signed Message-ID; any other bounce says nothing about a delivery.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.ingest.domain import effects
from services.ingest.domain.automatic import BounceReport
from services.ingest.domain.conversations import Customer
from services.ingest.domain.decisions import IntakeDecision
from services.ingest.domain.deliveries import Reported
from services.ingest.domain.delivery_facts import DeliveryFact, DeliveryState, FactSource
from services.ingest.domain.messages import Message
from services.policy.model.automatic import AutomaticKind

NEWEST_ASKED: Final = 3
"""The number of the customer's conversations that a report without a conversation goes to."""

_BOUNCES: Final[Mapping[str, bool]] = MappingProxyType(
    {
        "4.2.2": True,  # mailbox full
        "4.4.1": True,  # no answer from the host
        "4.4.7": True,  # tried for too long
        "4.7.1": True,
        "5.0.0": False,
        "5.1.0": False,
        "5.1.1": False,  # no such mailbox
        "5.1.2": False,  # no such host
        "5.1.10": False,  # the domain takes no mail
        "5.2.1": False,  # mailbox disabled
        "5.2.2": True,  # mailbox full
        "5.3.0": False,
        "5.3.4": False,  # too large
        "5.4.1": False,
        "5.4.4": False,
        "5.4.7": True,
        "5.7.0": False,
        "5.7.1": False,  # refused by policy
        "5.7.26": False,  # not authenticated
    }
)
"""The usual status codes (RFC 3463), and whether the same mail may be accepted later. A status comes from outside, so that
only these become reasons of their own."""


@dataclass(frozen=True, slots=True)
class StatedReport:
    """A report that arrives under an identity's key. An empty `conversation_id`: the lane finds the conversation."""

    conversation_id: str
    channel: str
    report: Reported


def pass_on(customer: Customer | None, stated: StatedReport) -> IntakeDecision:
    """Decide about a report. The customer does not change."""
    if stated.conversation_id:
        passed = effects.ReportPassed(stated.conversation_id, stated.channel, stated.report)
        return IntakeDecision(customer, (passed,), note="REPORTED")
    if customer is None:
        return IntakeDecision(customer, note="REPORT_UNMATCHED")
    if customer.home:
        return IntakeDecision(customer, (effects.Forwarded(customer.home),), note="FORWARDED")
    newest = list(customer.owned_interactions)[-NEWEST_ASKED:]
    passed_on = tuple(effects.ReportPassed(each, stated.channel, stated.report) for each in newest)
    return IntakeDecision(customer, passed_on, note="REPORTED" if passed_on else "REPORT_UNMATCHED")


def bounced(message: Message, now_ms: int) -> effects.ReportPassed | None:
    """Return what a bounce states about a delivery of ours; None for every other message."""
    bounce = message.automatic.bounce
    if message.automatic.kind is not AutomaticKind.BOUNCE or bounce is None or not bounce.failed:
        return None
    if not bounce.conversation_id or not bounce.delivery:
        return None
    reason, retryable = bounce_reason(bounce)
    at_ms = message.sent_at_ms or message.received_at_ms or now_ms
    fact = DeliveryFact(0, DeliveryState.FAILED, at_ms, FactSource.BOUNCE, reason, retryable)
    return effects.ReportPassed(
        bounce.conversation_id, message.identity.channel, Reported(fact=fact, delivery=bounce.delivery)
    )


def bounce_reason(bounce: BounceReport) -> tuple[str, bool]:
    """Return the reason code, and whether the same mail may be accepted later."""
    if bounce.status in _BOUNCES:
        return f"BOUNCED_{bounce.status.replace('.', '_')}", _BOUNCES[bounce.status]
    if bounce.status[:1] in ("4", "5"):
        return f"BOUNCED_{bounce.status[0]}", bounce.status[0] == "4"
    return "BOUNCED", False
