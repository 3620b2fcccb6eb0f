"""A durable producer for edges: when `publish` returns, the record is in the log, acknowledged by all in-sync replicas.

When the broker is away, `publish` fails with `BrokerUnavailable` after a bounded time, and the producer recovers by itself. A record whose
`publish` failed may still arrive later (its outcome is unknown): so a caller that tries again must use the same ids, and the reader
deduplicates. Memory is bounded: a record counts as in flight until its outcome is known, even if its caller has given up.
"""

import asyncio
from typing import Final, Self

from services.chassis.kafka.clients import BrokerError, KafkaAccess
from services.chassis.kafka.group_publisher import GroupPublisher, PendingRecord
from services.chassis.kafka.outbox import record_bytes
from services.chassis.kafka.producer_connection import ProducerConnection
from services.chassis.kafka.records import Headers
from services.chassis.tracing import inject

_CLOSE: Final = 3.0


class BrokerUnavailable(Exception):  # noqa: N818 - an expected state of the world, for which edges answer 503
    """The record is not known to be durable. Try again later."""


class RecordTooLarge(Exception):  # noqa: N818 - the caller's input
    """The record exceeds the producer's limit; trying again is useless."""


class DurableProducer:
    """An idempotent producer with acks=all and bounded memory. Use as an async context manager; entering does not need the broker."""

    def __init__(
        self,
        kafka: KafkaAccess,
        *,
        client_id: str,
        timeout: float = 5.0,
        max_in_flight: int = 2000,
        max_in_flight_bytes: int = 64 << 20,
        max_record_bytes: int = 900_000,
        linger_ms: int = 0,
    ) -> None:
        self._kafka = kafka
        self._timeout = timeout
        self._max_record_bytes = max_record_bytes
        self._connection = ProducerConnection(kafka, client_id=client_id, max_record_bytes=max_record_bytes)
        self._publisher = GroupPublisher(
            self._connection,
            client_id=client_id,
            connect_s=timeout,
            linger_s=linger_ms / 1000,
            max_records=max_in_flight,
            max_bytes=max_in_flight_bytes,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._publisher.close(_CLOSE)

    async def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Headers = (),
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - a deadline that becomes BrokerUnavailable, not a cancellation
    ) -> tuple[int, int]:
        """Append one record (logical topic; None is a tombstone) and wait until it is durable. Return (partition, offset).

        Records that are published at the same time share a batch; calls with the same key are in the log in the order of the calls. The current
        trace context is added to `headers` (`headers.record_headers`).
        Raises BrokerUnavailable within `timeout` seconds (default: the producer's), RecordTooLarge at once, ValueError for a partition that
        the topic does not have.
        """
        headers = inject(headers)
        size = record_bytes(key, value or b"", headers)
        if size > self._max_record_bytes:
            raise RecordTooLarge(f"{size} bytes for {topic}, limit {self._max_record_bytes}")
        record = PendingRecord(self._kafka.topic_prefix + topic, key, value, headers, partition, timestamp_ms, size)
        outcome = await self._publisher.publish(record, self._timeout if timeout is None else timeout)
        if isinstance(outcome, tuple):
            return outcome
        if isinstance(outcome, TimeoutError):
            raise BrokerUnavailable(f"{topic}: not acknowledged in time") from outcome
        if isinstance(outcome, BrokerError | OSError):
            raise BrokerUnavailable(f"{topic}: {outcome!r}") from outcome
        raise outcome

    async def probe(self, timeout: float) -> None:  # noqa: ASYNC109 - as above
        """Check readiness: raise BrokerUnavailable unless the broker answers."""
        try:
            async with asyncio.timeout(timeout):
                producer = await self._connection.open(timeout)
                if not await producer.client.force_metadata_update():
                    raise BrokerUnavailable("metadata cannot be read")
        except (TimeoutError, BrokerError, OSError) as error:
            raise BrokerUnavailable(repr(error)) from error
