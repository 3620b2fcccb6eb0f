"""Publishes many records together: durable when `publish` returns, in order per partition, without a transaction.

For relays. A `DurableProducer` is for callers that each wait for one record; here one caller has many. The records become
one Kafka batch per partition, which the broker appends whole or not at all. Records that do not fit into one batch wait
for the acknowledgement of the batch before them. So nothing is written after a record of the same partition that failed.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from services.chassis.kafka.clients import BrokerError, KafkaAccess, discard_producer, idempotent_producer
from services.chassis.kafka.outbox import Send, record_bytes
from services.chassis.kafka.partitioning import partition_of
from services.chassis.kafka.producer import BrokerUnavailable, RecordTooLarge

log = logging.getLogger(__name__)

MAX_RECORD_BYTES: Final = 900_000
_CLOSE: Final = 3.0
_REQUEST_MS: Final = 10_000


class BatchPublisher:
    """An idempotent producer with acks=all. Use as an async context manager; entering does not need the broker.

    One `publish` at a time. After a failure the producer is discarded: a batch of it may still arrive, complete.
    """

    def __init__(self, kafka: KafkaAccess, *, client_id: str, clock: Callable[[], int], timeout: float = 15.0) -> None:
        """`clock` gives the timestamps of records; `timeout`: seconds that one `publish` may take."""
        self._kafka = kafka
        self._client_id = client_id
        self._clock = clock
        self._timeout = timeout
        self._producer: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._discard()

    async def publish(self, sends: Sequence[Send]) -> None:
        """Append the records (logical topics) and return when all of them are durable.

        Raises BrokerUnavailable when that is not known: some may be in the log, and the caller repeats all of them, with the
        same ids. Raises RecordTooLarge before anything is written.
        """
        for send in sends:
            size = record_bytes(send.key, send.value, send.headers)
            if size > MAX_RECORD_BYTES:
                raise RecordTooLarge(f"{size} bytes for {send.topic}, limit {MAX_RECORD_BYTES}")
        if not sends:
            return
        try:
            async with asyncio.timeout(self._timeout):
                producer = await self._connected()
                for together in await self._rounds(producer, sends):
                    await _acknowledged(producer, together)
        except BaseException as error:
            # Also when the caller is cancelled: batches may be under way, and the next ones must not follow them.
            await self._discard()
            if isinstance(error, (BrokerError, OSError)):
                raise BrokerUnavailable(f"{self._client_id}: {error!r}") from error
            raise

    async def _connected(self) -> Any:
        if self._producer is None:
            producer = idempotent_producer(
                self._kafka,
                client_id=self._client_id,
                request_timeout_ms=_REQUEST_MS,
                max_record_bytes=MAX_RECORD_BYTES + (64 << 10),
                linger_ms=0,
            )
            try:
                await producer.start()
            except BaseException:
                await discard_producer(producer, _CLOSE)
                raise
            self._producer = producer
        return self._producer

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await discard_producer(producer, _CLOSE)

    async def _rounds(self, producer: Any, sends: Sequence[Send]) -> list[list[tuple[str, int, Any]]]:
        """Return the batches in rounds: at most one batch per partition in each round, in order."""
        now_ms = self._clock()
        counts: dict[str, int] = {}
        rounds: list[list[tuple[str, int, Any]]] = []
        building: dict[tuple[str, int], tuple[int, Any]] = {}
        for topic, partition, key, value, headers, _verdict in sends:
            name = self._kafka.topic_prefix + topic
            if name not in counts:
                counts[name] = len(await producer.partitions_for(name))
            place = (name, partition_of(key, counts[name]) if partition is None else partition)
            record = {"timestamp": now_ms, "key": key, "value": value, "headers": list(headers)}
            number, batch = building.get(place, (-1, None))
            if batch is not None and batch.append(**record) is not None:
                continue
            batch = producer.create_batch()
            if batch.append(**record) is None:
                raise RecordTooLarge(f"a record for {topic} does not fit an empty batch")
            building[place] = (number + 1, batch)
            if number + 1 == len(rounds):
                rounds.append([])
            rounds[number + 1].append((*place, batch))
        return rounds


async def _acknowledged(producer: Any, together: list[tuple[str, int, Any]]) -> None:
    """Send these batches and wait for all of their acknowledgements. Raises the first failure, after the last has ended."""
    sent = []
    for name, partition, batch in together:
        acknowledged = await producer.send_batch(batch, name, partition=partition)
        acknowledged.add_done_callback(_retrieve)
        sent.append(acknowledged)
    for result in await asyncio.gather(*sent, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _retrieve(acknowledged: "asyncio.Future[Any]") -> None:
    """Retrieve the outcome, although the caller may have given up."""
    if not acknowledged.cancelled():
        acknowledged.exception()
