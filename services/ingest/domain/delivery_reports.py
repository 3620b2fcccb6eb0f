"""Finds the delivery that a report is about, and keeps deliveries for as long as reports about them may arrive.

A delivery that has left the sender is *settled*: its text is gone, and its id, its native ids and its facts remain for a
week. A report may also arrive before the outcome of its own attempt. A report that names the delivery is then a fact of
the waiting delivery. A report by native id is held until the attempt's native ids are known.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from services.ingest.domain.deliveries import (
    MAX_HELD,
    MAX_SETTLED,
    Delivery,
    Reported,
    SenderConversation,
    Status,
)
from services.ingest.domain.delivery_facts import DeliveryState, merged

_LEAST_PREFIX: Final = 12


def named(conversation: SenderConversation, report: Reported) -> Delivery | None:
    """Return the delivery that a report names, with the report's fact; None when the conversation does not know it."""
    for delivery in _newest_first(conversation):
        found = learned(delivery, report)
        if found is not None:
            return found
    return None


def learned(delivery: Delivery, report: Reported) -> Delivery | None:
    """Return the delivery with the report's fact; None when the report is not about it."""
    fact = report.fact
    if report.delivery:
        if not _is_prefix(report.delivery, delivery.delivery_id):
            return None
    elif report.native_id and report.native_id in delivery.native_ids:
        fact = replace(fact, part=delivery.native_ids.index(report.native_id) + 1)
    else:
        return None
    return replace(delivery, facts=merged(delivery.facts, fact), parts=max(delivery.parts, report.parts))


def held(conversation: SenderConversation, report: Reported) -> SenderConversation | None:
    """Return the conversation with the report held for the attempt that is in flight; None when there is none, or no room."""
    head = conversation.head
    if report.delivery or not report.native_id or head is None or len(head.held) >= MAX_HELD:
        return None
    if head.status not in (Status.ATTEMPTING, Status.ORPHANED):
        return None
    return conversation.having(replace(head, held=(*head.held, report)))


def released(delivery: Delivery) -> tuple[Delivery, tuple[Reported, ...]]:
    """Return the delivery with the facts of its held reports, and the reports that are not about it."""
    strangers: list[Reported] = []
    waiting, delivery = delivery.held, replace(delivery, held=())
    for report in waiting:
        known = learned(delivery, report)
        if known is None:
            strangers.append(report)
        else:
            delivery = known
    return delivery, tuple(strangers)


def settled(conversation: SenderConversation, delivery: Delivery, until_ms: int) -> SenderConversation:
    """Return the conversation with the delivery settled, in the place of one that waits or was settled before.

    A delivery that the customer has read is not kept: no fact can change it.
    """
    conversation = conversation.without(delivery.delivery_id)
    rest = tuple(each for each in conversation.settled if each.delivery_id != delivery.delivery_id)
    known = delivery.verdict
    if known is not None and known.state is DeliveryState.READ:
        return replace(conversation, settled=rest)
    kept = replace(
        delivery,
        request=replace(delivery.request, text="", to=(), cc=()),
        status=Status.SETTLED,
        due_ms=until_ms,
        owner="",
        held=(),
    )
    return replace(conversation, settled=(*rest, kept)[-MAX_SETTLED:])


def has_left(conversation: SenderConversation, delivery_id: str) -> bool:
    """Return whether a delivery is known to have been sent after all: it must not be sent again."""
    for delivery in _newest_first(conversation):
        if delivery.delivery_id == delivery_id:
            found = delivery.verdict
            return found is not None and found.state.left
    return False


def expired(conversation: SenderConversation, now_ms: int) -> SenderConversation:
    """Return the conversation without the deliveries about which no report is expected any more."""
    rest = tuple(each for each in conversation.settled if each.due_ms > now_ms)
    return replace(conversation, settled=rest) if len(rest) < len(conversation.settled) else conversation


def _newest_first(conversation: SenderConversation) -> Iterator[Delivery]:
    yield from reversed(conversation.deliveries)
    yield from reversed(conversation.settled)


def _is_prefix(given: str, delivery_id: str) -> bool:
    digits = given.replace("-", "")
    return len(digits) >= _LEAST_PREFIX and delivery_id.replace("-", "").startswith(digits)
