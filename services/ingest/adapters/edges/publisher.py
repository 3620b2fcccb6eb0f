"""inbound.v1 behind `ports.Publisher`."""

import asyncio
from collections.abc import Sequence

from chapar.ingest.v1 import records_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer, RecordTooLarge
from services.chassis.keys import tenant_key
from services.chassis.tracing import inject

TOPIC = "inbound.v1"
MAX_RECORD_BYTES = 850_000
"""Below what a lane may put into one of its own outputs, which hold the same text again."""
_RETRY_AFTER_S = 5


class InboundPublisher:
    """Appends to inbound.v1 and waits for the acknowledgement of all in-sync replicas."""

    def __init__(self, producer: DurableProducer) -> None:
        self._producer = producer

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """See `ports.Publisher.publish`."""
        encoded = [(tenant_key(record.tenant, key), record.SerializeToString()) for key, record in records]
        if any(len(value) > MAX_RECORD_BYTES for _, value in encoded):
            raise too_large()
        try:
            if len(encoded) == 1:
                await self._one(*encoded[0])
                return
            # Same partition, same producer, sent in this order: order per identity is kept.
            await asyncio.gather(*(self._one(key, value) for key, value in encoded))
        except BrokerUnavailable as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                "BROKER_UNAVAILABLE",
                "the message could not be made durable: send it again, it will not be doubled",
                retry_after_s=_RETRY_AFTER_S,
            ) from error
        except RecordTooLarge as error:
            raise too_large() from error

    async def _one(self, key: bytes, value: bytes) -> None:
        await self._producer.publish(TOPIC, key, value, inject())


def too_large() -> ChaparError:
    """The refusal of a message that the log can't take."""
    return ChaparError(
        ErrorKind.TOO_LARGE, "MESSAGE_TOO_LARGE", f"a message may take {MAX_RECORD_BYTES} bytes, not more"
    )
