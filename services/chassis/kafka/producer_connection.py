"""The connection of a `DurableProducer`: made when it is first needed, and replaced when it has failed permanently."""

import asyncio
import logging
import time
from typing import Any, Final

from aiokafka.errors import ClusterAuthorizationFailedError, ProducerClosed, TopicAuthorizationFailedError

from services.chassis.kafka.clients import KafkaAccess, discard_producer, idempotent_producer

log = logging.getLogger(__name__)

_CLOSE: Final = 3.0
_REQUEST_MS: Final = 10_000
_BATCH_OVERHEAD: Final = 64 << 10
_NOT_ALLOWED: Final = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)
"""Do not connect again for each of these. When the right is granted, the next batch fails by its sequence numbers: that replaces the producer."""


class ProducerConnection:
    """Owns at most one started aiokafka producer: idempotent, acks=all."""

    def __init__(self, kafka: KafkaAccess, *, client_id: str, max_record_bytes: int) -> None:
        self._kafka = kafka
        self._client_id = client_id
        self._max_record_bytes = max_record_bytes
        self._changing = asyncio.Lock()
        self._closed = False
        self.current: Any = None
        """The started producer; None before the first `open`, and from a permanent failure to the next `open`."""

    async def open(self, timeout: float) -> Any:  # noqa: ASYNC109 - as of `publish`
        """Return the started producer. Raises ProducerClosed after `close`, and KafkaError or OSError when no broker answers in time."""
        if self.current is not None:
            return self.current
        async with asyncio.timeout(timeout), self._changing:
            if self._closed:
                raise ProducerClosed
            if self.current is None:
                self.current = await self._started()
            return self.current

    async def replace_failed(self, producer: Any, error: Exception, *, sent: bool) -> None:
        """Replace this producer if the error of a batch is permanent: the next `open` starts another one.

        It is permanent when the sender has ended. It is also permanent when the batch was `sent`, because the batch has used up sequence
        numbers: if the broker did not take it, the broker refuses every later batch of the partition. Batches of other partitions that are
        in flight get the time to end.
        """
        ended = producer._sender.sender_task.done()
        if producer is not self.current or not (ended or (sent and not isinstance(error, _NOT_ALLOWED))):
            return
        async with self._changing:
            if producer is self.current:
                self.current = None
                log.warning("%s: the producer failed permanently and is replaced", self._client_id)
                await self._flushed(producer)
                await discard_producer(producer, _CLOSE)

    async def close(self) -> None:
        """Discard the producer; what it has not sent fails."""
        self._closed = True
        async with self._changing:
            producer, self.current = self.current, None
            if producer is not None:
                await discard_producer(producer, _CLOSE)

    async def _flushed(self, producer: Any) -> None:
        try:
            async with asyncio.timeout(_CLOSE):
                await producer.flush()
        except TimeoutError:
            log.warning("%s: discarded with records in flight", self._client_id)

    async def _started(self) -> Any:
        producer = idempotent_producer(
            self._kafka,
            client_id=self._client_id,
            request_timeout_ms=_REQUEST_MS,
            max_record_bytes=self._max_record_bytes + _BATCH_OVERHEAD,
            linger_ms=0,
        )
        began = time.monotonic()
        try:
            await producer.start()
        except BaseException:
            await discard_producer(producer, _CLOSE)
            raise
        log.info("%s: connected in %.2f s", self._client_id, time.monotonic() - began)
        return producer
