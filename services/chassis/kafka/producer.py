"""A durable producer for edges: when `publish` returns, the record is in the log, acknowledged by all in-sync replicas.

When the broker is away, `publish` fails with `BrokerUnavailable` after a bounded time, and the producer recovers by itself. A record whose
`publish` failed may still arrive later (its outcome is unknown): so a caller that tries again must use the same ids, and the reader
deduplicates. Memory is bounded: a record counts as in flight until its outcome is known, even if its caller has given up.
"""

import asyncio
import logging
import time
from typing import Any, Final, Self

from services.chassis.kafka.clients import BrokerError, KafkaAccess, discard_producer, idempotent_producer
from services.chassis.kafka.outbox import record_bytes
from services.chassis.kafka.records import Headers
from services.chassis.tracing import inject

log = logging.getLogger(__name__)

_CLOSE: Final = 3.0
_REQUEST_MS: Final = 10_000


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
        max_record_bytes: int = 900_000,
        linger_ms: int = 0,
    ) -> None:
        self._kafka = kafka
        self._client_id = client_id
        self._timeout = timeout
        self._max_record_bytes = max_record_bytes
        self._linger_ms = linger_ms
        self._places = asyncio.Semaphore(max_in_flight)
        self._connecting = asyncio.Lock()
        self._producer: Any = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        async with self._connecting:
            producer, self._producer = self._producer, None
            if producer is not None:
                try:
                    async with asyncio.timeout(_CLOSE):
                        await producer.flush()
                except TimeoutError:
                    log.warning("%s: closed with records in flight", self._client_id)
                await discard_producer(producer, _CLOSE)

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

        The current trace context is added to `headers` (`headers.record_headers`).
        Raises BrokerUnavailable within `timeout` seconds (default: the producer's), RecordTooLarge at once.
        """
        headers = inject(headers)
        size = record_bytes(key, value or b"", headers)
        if size > self._max_record_bytes:
            raise RecordTooLarge(f"{size} bytes for {topic}, limit {self._max_record_bytes}")
        producer: Any = None
        try:
            async with asyncio.timeout(self._timeout if timeout is None else timeout):
                producer = await self._connected()
                written = await self._send(producer, topic, key, value, headers, partition, timestamp_ms)
        except TimeoutError as error:
            raise BrokerUnavailable(f"{topic}: not acknowledged in time") from error
        except (BrokerError, OSError) as error:
            if producer is not None and producer is self._producer and producer._sender.sender_task.done():
                await self._replace(producer)  # it has failed permanently: the next call makes a new connection
            raise BrokerUnavailable(f"{topic}: {error!r}") from error
        return int(written.partition), int(written.offset)

    async def probe(self, timeout: float) -> None:  # noqa: ASYNC109 - as above
        """Check readiness: raise BrokerUnavailable unless the broker answers."""
        try:
            async with asyncio.timeout(timeout):
                producer = await self._connected()
                if not await producer.client.force_metadata_update():
                    raise BrokerUnavailable("metadata cannot be read")
        except (TimeoutError, BrokerError, OSError) as error:
            raise BrokerUnavailable(repr(error)) from error

    async def _send(
        self,
        producer: Any,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Headers,
        partition: int | None,
        timestamp_ms: int | None,
    ) -> Any:
        await self._places.acquire()
        sent: asyncio.Future[Any] | None = None
        try:
            sent = await producer.send(
                self._kafka.topic_prefix + topic,
                value,
                key,
                partition=partition,
                timestamp_ms=timestamp_ms,
                headers=list(headers),
            )
        finally:
            if sent is None:
                self._places.release()
        assert sent is not None
        sent.add_done_callback(self._settled)
        return await asyncio.shield(sent)

    def _settled(self, sent: "asyncio.Future[Any]") -> None:
        self._places.release()
        if not sent.cancelled():
            sent.exception()  # retrieved, although the caller may be gone

    async def _connected(self) -> Any:
        if self._producer is not None:
            return self._producer
        async with self._connecting:
            if self._closed:
                raise BrokerUnavailable("the producer is closed")
            if self._producer is None:
                producer = idempotent_producer(
                    self._kafka,
                    client_id=self._client_id,
                    request_timeout_ms=_REQUEST_MS,
                    max_record_bytes=self._max_record_bytes + (64 << 10),
                    linger_ms=self._linger_ms,
                )
                began = time.monotonic()
                try:
                    await producer.start()
                except BaseException:
                    await discard_producer(producer, _CLOSE)
                    raise
                log.info("%s: connected in %.2f s", self._client_id, time.monotonic() - began)
                self._producer = producer
            return self._producer

    async def _replace(self, producer: Any) -> None:
        async with self._connecting:
            if self._producer is producer:
                self._producer = None
                log.warning("%s: the producer failed permanently and is replaced", self._client_id)
                await discard_producer(producer, _CLOSE)
