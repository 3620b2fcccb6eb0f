"""Links two identities of one customer when the provider states both in one call, e.g. a telephone number and a user id.

Afterwards a message with either of them belongs to the same person. The other identity is introduced first, because a
lane links only identities that it knows. A link that this process has made is not made again; a copy from another
process has the same ids and changes nothing.
"""

from collections.abc import Sequence
from typing import Final

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.ingest.domain.normalise.message import IncomingMessage, MessageKind
from services.ingest.domain.origin import Origin
from services.ingest.ports import Account, Publisher
from services.ingest.translate.edges import identity_id_of, inbound_record

_MOST: Final = 50_000


class StatedLinks:
    """Publishes links. One instance for all edges of the process."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._made: dict[tuple[str, str], None] = {}

    async def make(
        self, account: Account, messages: Sequence[IncomingMessage], now_ms: int, origin: Origin | None
    ) -> None:
        """Link the two ids of each message that has two. Their identities must have been published. Raises UNAVAILABLE."""
        for message in messages:
            if not message.also or message.also == message.native_id:
                continue
            home, other = identity_id_of(account, message.native_id), identity_id_of(account, message.also)
            if (home, other) in self._made:
                continue
            introduction = inbound_record(account, _introduction(message), now_ms, origin)
            await self._publisher.publish([(other, introduction)])
            link = records_pb2.IdentityLink(
                request_id=derive("stated-by-provider", home, other),
                identity_id=other,
                home_identity_id=home,
                evidence=f"{account.channel} states both",
                actor="ingest",
                occurred_at_ms=now_ms,
            )
            await self._publisher.publish([(home, records_pb2.InboundRecord(tenant=account.tenant, link=link))])
            self._made[home, other] = None
            if len(self._made) > _MOST:
                del self._made[next(iter(self._made))]


def _introduction(message: IncomingMessage) -> IncomingMessage:
    return IncomingMessage(
        native_id=message.also,
        native_message_id=f"also:{message.native_id}",
        kind=MessageKind.SYSTEM,
        display_name=message.display_name,
        labels={"event": "same_person"},
        no_auto_reply=True,
        content="same_person",
    )
