"""The block list: senders whose messages are kept and not routed, each until a time.

A block belongs to one identity, not to a person: one account was seen to abuse, and an unproven mail in a customer's
name must not silence their telephone. So links and their end change nothing. The list is kept apart from what is known of
customers, and has ids and times only, because a block outlives an erasure.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.ingest.domain.conversations import Customer, Opening, OpenInteraction
from services.ingest.domain.effects import SenderBlockAsked
from services.ingest.domain.messages import Notice, NoticeKind
from services.policy.model.intake import DAY_MS

DEFAULT_MS: Final = 30 * DAY_MS


@dataclass(frozen=True, slots=True)
class Block:
    """An entry of the list: when the block ends, in ms."""

    until_ms: int


class BlockList:
    """The blocked senders of one partition, by key (tenant/identity); at most `most` of one tenant."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._until: dict[str, int] = {}
        self._of_tenant: Counter[str] = Counter()

    def holds(self, key: str, now_ms: int) -> bool:
        """Return whether this sender is blocked at this time."""
        return now_ms < self._until.get(key, 0)

    def has_room(self, key: str) -> bool:
        """Return whether the tenant's list can hold this sender."""
        return key in self._until or self._of_tenant[_tenant(key)] < self._most

    def put(self, key: str, until_ms: int) -> None:
        """Block a sender; the newest end counts."""
        self._of_tenant[_tenant(key)] += key not in self._until
        self._until[key] = until_ms

    def remove(self, key: str) -> bool:
        """Remove a sender; return whether they were on the list."""
        found = self._until.pop(key, None) is not None
        self._of_tenant[_tenant(key)] -= found
        return found


def _tenant(key: str) -> str:
    return key.partition("/")[0]


def of_disposition(
    customer: Customer, open_: OpenInteraction, notice: Notice, blocks_for_ms: Mapping[str, int]
) -> SenderBlockAsked | None:
    """Return the block that the disposition of a completed interaction asks for; None if it asks for none."""
    lasts_ms = blocks_for_ms.get(notice.disposition, 0) if notice.kind is NoticeKind.COMPLETED else 0
    if not lasts_ms:
        return None
    return SenderBlockAsked(
        identity_id=sender_of(open_.opening, customer),
        until_ms=notice.occurred_at_ms + lasts_ms,
        actor=notice.agent_id,
        interaction_id=open_.interaction_id,
        disposition=notice.disposition,
    )


def sender_of(opening: Opening, customer: Customer) -> str:
    """Return the identity that wrote the message: that of the customer, or one that is linked to theirs."""
    return opening.identity_id or customer.key
