"""Implements `ports.Publisher` on inbound.v1."""

import asyncio
from collections.abc import Sequence

from chapar.ingest.v1 import records_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer, RecordTooLarge
from services.chassis.kafka.records import Headers
from services.chassis.keys import tenant_key
from services.chassis.privacy.lanes import AwaitedKeys
from services.chassis.privacy.sealing import bare, seal
from services.ingest.domain.reasons import Reason
from services.ingest.translate import headers
from services.ingest.translate.keys import owner_of, owners_of_question

TOPIC = "inbound.v1"
MAX_RECORD_BYTES = 850_000
"""Below the limit of a lane's own outputs, which contain the same text again."""
_RETRY_AFTER_S = 5


class InboundPublisher:
    """Seals with the person's key, appends to inbound.v1 and waits for the acknowledgement of all in-sync replicas."""

    def __init__(self, producer: DurableProducer, keys: AwaitedKeys) -> None:
        self._producer = producer
        self._keys = keys

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """See `ports.Publisher.publish`. Personal fields are removed from the given records; a question about unknown
        identities is written without them."""
        try:
            keyed = [(tenant_key(record.tenant, key), record) for key, record in records]
            encoded = [(key, await self._sealed(key, record), headers.of_inbound(record)) for key, record in keyed]
            if any(len(value) > MAX_RECORD_BYTES for _, value, _ in encoded):
                raise too_large()
            if len(encoded) == 1:
                await self._one(*encoded[0])
                return
            # Same partition, same producer, sent in this order: the order per identity is kept.
            await asyncio.gather(*(self._one(*each) for each in encoded))
        except BrokerUnavailable as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.BROKER_UNAVAILABLE,
                "the message could not be made durable; send it again, it will not be duplicated",
                retry_after_s=_RETRY_AFTER_S,
            ) from error
        except RecordTooLarge as error:
            raise too_large() from error

    async def _sealed(self, key: bytes, record: records_pb2.InboundRecord) -> bytes:
        owner = owner_of(record)
        if not owner:
            return record.SerializeToString()
        if record.HasField("report"):
            # A provider may report about a person who is not known here: a report never creates a key.
            theirs = await self._keys.existing(record.tenant, owner)
            return seal(record, theirs, TOPIC, key) if theirs is not None else bare(record)
        if record.question_id:
            # The caller may have invented the identity: a key is created only when the lane knows the identity.
            for known in owners_of_question(record):
                own = await self._keys.existing(record.tenant, known)
                if own is not None:
                    return seal(record, own, TOPIC, key)
            return bare(record)
        return seal(record, await self._keys.ensure(record.tenant, owner), TOPIC, key)

    async def _one(self, key: bytes, value: bytes, headers: Headers) -> None:
        await self._producer.publish(TOPIC, key, value, headers)


def too_large() -> ChaparError:
    """Return the refusal of a message that the log can't accept."""
    return ChaparError(
        ErrorKind.TOO_LARGE, Reason.MESSAGE_TOO_LARGE, f"a message must not be larger than {MAX_RECORD_BYTES} bytes"
    )
