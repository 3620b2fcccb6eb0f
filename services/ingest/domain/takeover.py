"""What a new owner of a conversation does with attempts that it finds in the changelog without an outcome.

- An attempt that this process run submitted continues, until its outcome is written. From then on it is an orphan: its outcome is in
  the log before the takeover, unless the log has lost it.
- An attempt that this process run planned and never submitted is made again: its commit was durable, but its effect
  did not run.
- An attempt of another process run is an orphan too. An orphan may have reached the customer, so it is never repeated. Its outcome may
  still be in the log. When the owner has read everything written before its takeover, the orphan gets a grace period.
"""

from collections.abc import Callable
from dataclasses import replace

from services.ingest.domain.deliveries import Delivery, SenderConversation, Status

Asks = Callable[[str, int], bool]
"""A question about an attempt, by the id of its delivery and its number."""


def taken_over(
    conversation: SenderConversation, owner: str, submitted: Asks, published: Asks, now_ms: int
) -> SenderConversation:
    """Return the conversation as its new owner `owner` (a process run) continues it. `submitted`: whether this process run has
    submitted an attempt. `published`: whether the outcome of a submitted one was written to the log."""
    for delivery in conversation.deliveries:
        attempt = delivery.delivery_id, delivery.number
        if delivery.status is not Status.ATTEMPTING or (submitted(*attempt) and not published(*attempt)):
            continue
        if delivery.owner == owner and not submitted(*attempt):
            conversation = conversation.having(replace(delivery, status=Status.WAITING, due_ms=now_ms))
        else:
            conversation = conversation.having(replace(delivery, status=Status.ORPHANED, due_ms=0))
    return conversation


def orphans(conversation: SenderConversation) -> list[Delivery]:
    """Return the orphans whose grace period has not begun."""
    return [each for each in conversation.deliveries if each.status is Status.ORPHANED and not each.due_ms]


def with_grace(conversation: SenderConversation, until_ms: int) -> SenderConversation:
    """Begin the grace period of the conversation's orphans; it ends at `until_ms`."""
    for delivery in orphans(conversation):
        conversation = conversation.having(replace(delivery, due_ms=until_ms))
    return conversation
