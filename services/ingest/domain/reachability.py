"""What the lane of a customer does when a reply or an address has failed.

- An address that failed gets no surveys until something arrives there, or its customer writes.
- A reply that turns out to have failed after its interaction has ended opens a further interaction in the same queue, once for each
  interaction, unless the tenant's configuration says otherwise. While an interaction of the customer is open, its agent sees the
  failed message in the conversation, and nothing is opened.
"""

from dataclasses import dataclass, replace
from typing import Final

from services.ingest.domain import effects
from services.ingest.domain.conversations import Customer
from services.ingest.domain.decisions import IntakeDecision, Refused, Routing
from services.ingest.domain.delivery_facts import DeliveryState
from services.ingest.domain.follow_ups import FollowUps, interaction_of
from services.ingest.domain.messages import FollowUp, Purpose
from services.policy.model.intake import TenantPolicy

MOST_FAILED: Final = 20
"""The most addresses of one customer that are remembered as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryNotice:
    """What became of a message to the customer. Time in ms."""

    identity_id: str
    conversation_id: str
    interaction_id: str
    queue: str
    delivery_id: str
    purpose: Purpose
    state: DeliveryState
    reason: str
    address_failed: bool
    occurred_at_ms: int


def decide(
    customer: Customer | None,
    notice: DeliveryNotice,
    now_ms: int,
    policy: TenantPolicy,
    routing: Routing,
    follow_ups: FollowUps,
) -> IntakeDecision:
    """Decide about a notice under the identity's key."""
    if customer is None:
        return IntakeDecision(None, note="NOTICE_OF_UNKNOWN")
    if customer.home:
        return IntakeDecision(customer, (effects.Forwarded(customer.home),), note="FORWARDED")
    if notice.state is not DeliveryState.FAILED:
        return IntakeDecision(reached(customer, notice.identity_id), note="ADDRESS_WORKS")
    if notice.address_failed:
        others = [each for each in customer.failed_addresses if each != notice.identity_id]
        customer = replace(customer, failed_addresses=(*others, notice.identity_id)[-MOST_FAILED:])
    if not _wanted(customer, notice, policy):
        return IntakeDecision(customer, note="DELIVERY_FAILED")
    request = FollowUp(
        request_id=routing.derive("reply failed", notice.interaction_id),
        queue=notice.queue,
        conversation_id=notice.conversation_id,
        reason=f"reply failed: {notice.reason}",
        requested_at_ms=now_ms,
        checked=True,
    )
    interaction_id = interaction_of(routing, customer.identity.tenant, request.request_id)
    if any(interaction_id in known for known in customer.owned_interactions.values()):
        return IntakeDecision(customer, note="DELIVERY_FAILED")
    opened = follow_ups.ask(customer, request, now_ms, policy)
    return IntakeDecision(customer, note="DELIVERY_FAILED") if isinstance(opened, Refused) else opened


def reached(customer: Customer, identity_id: str) -> Customer:
    """Return the customer after something has arrived at this address, or has come from it."""
    if identity_id not in customer.failed_addresses:
        return customer
    return replace(customer, failed_addresses=tuple(e for e in customer.failed_addresses if e != identity_id))


def _wanted(customer: Customer, notice: DeliveryNotice, policy: TenantPolicy) -> bool:
    """Return whether the failure needs a further interaction."""
    if notice.purpose is not Purpose.REPLY or not notice.interaction_id or notice.queue not in policy.pools:
        return False
    return policy.follow_up_failed_replies and not customer.has_open_work
