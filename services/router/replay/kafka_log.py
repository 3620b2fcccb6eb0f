"""A shard's log on Kafka. It is read without a consumer group, read_committed, with a connection of its own for each read."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import TopicPartition

from services.chassis.kafka.clients import (
    BrokerError,
    KafkaAccess,
    admin_client,
    close_consumer,
    plain_reader,
    record_of,
)
from services.chassis.kafka.partitioning import partition_of
from services.chassis.kafka.records import Record
from services.router.lanes.shard import COMMANDS, EVENTS, FEED, JOURNAL
from services.router.replay.log import DISORDER_MS, Bounds, Chunks, LogPartition, NotComparable

DEAD_LETTERS: Final = "deadletters.v1"
TOPICS: Final = (COMMANDS, JOURNAL, EVENTS, FEED, DEAD_LETTERS)
_CLIENT: Final = "replay"
_POLL_MS: Final = 200
_CLOSE_S: Final = 3.0
_CONNECT_S: Final = 20.0
_STALLED_AFTER_S: Final = 30.0
_MARKERS_S: Final = 2.0
"""A transaction is not marked as committed in all its partitions at once: a partition's end is read on for so long."""


async def partitions_of(kafka: KafkaAccess) -> dict[str, int]:
    """Return the number of partitions of the topics.

    Raises NotComparable when topics are missing, KafkaError when the cluster can't be reached.
    """
    names = {kafka.topic_prefix + topic: topic for topic in TOPICS}
    try:
        async with asyncio.timeout(_CONNECT_S), admin_client(kafka, client_id=_CLIENT) as admin:
            described = await admin.describe_topics(list(names))
    except TimeoutError as error:
        raise BrokerError(f"Kafka did not answer within {_CONNECT_S:g} s") from error
    counts = {names[t["topic"]]: len(t["partitions"]) for t in described if not t["error_code"] and t["partitions"]}
    if missing := sorted(set(TOPICS) - set(counts)):
        raise NotComparable(
            f"there is no {kafka.topic_prefix}{missing[0]} on this cluster: see that KAFKA_BOOTSTRAP_SERVERS and CHAPAR_TOPIC_PREFIX "
            "name the installation"
        )
    return counts


class KafkaShardLog:
    """Implements `log.ShardLog`."""

    def __init__(self, kafka: KafkaAccess, shard: int, partitions: dict[str, int]) -> None:
        self._kafka = kafka
        self._shard = shard
        self._partitions = partitions

    async def bounds(self) -> Bounds:
        async with _reader(self._kafka) as reader:
            journal, commands = self._tp(JOURNAL), self._tp(COMMANDS)
            journal_end = int((await reader.end_offsets([journal]))[journal])
            begin = await reader.beginning_offsets([journal, commands])
        return Bounds(int(begin[journal]), journal_end, int(begin[commands]))

    def journal(self, offset: int) -> Chunks:
        return self._read(JOURNAL, [self._shard], offset=offset)

    def commands(self, offset: int) -> Chunks:
        return self._read(COMMANDS, [self._shard], offset=offset)

    def dead_letters(self, since_ms: int) -> Chunks:
        return self._read(DEAD_LETTERS, range(self._partitions[DEAD_LETTERS]), since_ms=since_ms)

    async def effects(self, from_ms: int, to_ms: int) -> Chunks:
        for topic in (EVENTS, FEED):
            for partition in range(self._partitions[topic]):
                chunks = self._read(topic, [partition], since_ms=from_ms)
                try:
                    async for chunk in chunks:
                        yield chunk
                        if chunk[-1].timestamp_ms > to_ms + DISORDER_MS:
                            break
                finally:
                    await chunks.aclose()

    def events(self) -> Sequence[LogPartition]:
        return [(EVENTS, partition) for partition in range(self._partitions[EVENTS])]

    async def published(self, at: LogPartition, since_ms: int) -> Chunks:
        tp = self._tp(*at)
        async with _reader(self._kafka) as reader:
            reader.assign([tp])
            end = int((await reader.end_offsets([tp]))[tp])
            reader.seek(tp, await _offset_at(reader, tp, since_ms, end))
            async for chunk in _to(reader, tp, at[0], end):
                yield chunk
            yield []
            until = time.monotonic() + _MARKERS_S
            while time.monotonic() < until:
                messages = (await reader.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ())
                if messages:
                    yield [record_of(at[0], message) for message in messages]

    async def shortened(self) -> frozenset[LogPartition]:
        async with _reader(self._kafka) as reader:
            tps = {self._tp(topic, n): (topic, n) for topic in (EVENTS, FEED) for n in range(self._partitions[topic])}
            begin = await reader.beginning_offsets(list(tps))
        return frozenset(at for tp, at in tps.items() if begin[tp])

    async def forgotten(self, from_ms: int) -> frozenset[LogPartition]:
        found: set[LogPartition] = set()
        async with _reader(self._kafka) as reader:
            for topic in (EVENTS, FEED):
                tps = [self._tp(topic, partition) for partition in range(self._partitions[topic])]
                begin = await reader.beginning_offsets(tps)
                at = await reader.offsets_for_times(dict.fromkeys(tps, from_ms))
                # Nothing older is kept, and there was something: the records that are searched may have been there.
                found.update(
                    (topic, tp.partition) for tp in tps if begin[tp] and (not at[tp] or at[tp].offset <= begin[tp])
                )
        return frozenset(found)

    def place(self, topic: str, partition: int | None, key: bytes) -> LogPartition:
        """Return the place that Kafka's default partitioner chooses."""
        if partition is None:
            partition = partition_of(key, self._partitions[topic])
        return topic, partition

    def _tp(self, topic: str, partition: int | None = None) -> Any:
        return TopicPartition(self._kafka.topic_prefix + topic, self._shard if partition is None else partition)

    async def _read(
        self, topic: str, partitions: "range | list[int]", *, offset: int | None = None, since_ms: int = 0
    ) -> Chunks:
        """Yield one partition after the other, to the end that each has now. Raises KafkaError when the broker makes no progress."""
        async with _reader(self._kafka) as reader:
            for partition in partitions:
                tp = self._tp(topic, partition)
                reader.assign([tp])
                end = int((await reader.end_offsets([tp]))[tp])
                if offset is not None:
                    begin = int((await reader.beginning_offsets([tp]))[tp])
                    reader.seek(tp, max(offset, begin))
                else:
                    reader.seek(tp, await _offset_at(reader, tp, since_ms, end))
                async for chunk in _to(reader, tp, topic, end):
                    yield chunk


async def _offset_at(reader: Any, tp: Any, since_ms: int, end: int) -> int:
    """Return the offset of the first record since a time, or the end."""
    found = (await reader.offsets_for_times({tp: since_ms}))[tp]
    return end if found is None else int(found.offset)


async def _to(reader: Any, tp: Any, topic: str, end: int) -> AsyncIterator[list[Record]]:
    """Yield records from the reader's position to an offset. Raises BrokerError when the broker makes no progress."""
    position, moved_at = int(await reader.position(tp)), time.monotonic()
    while position < end:
        messages = (await reader.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ())
        chunk = [record_of(topic, message) for message in messages if message.offset < end]
        if chunk:
            yield chunk
        reached = int(await reader.position(tp))
        if reached > position:
            position, moved_at = reached, time.monotonic()
        elif time.monotonic() - moved_at > _STALLED_AFTER_S:
            raise BrokerError(f"reading {topic}/{tp.partition} does not get past {position} of {end}")


@asynccontextmanager
async def _reader(kafka: KafkaAccess) -> AsyncIterator[Any]:
    reader = plain_reader(kafka, client_id=_CLIENT)
    try:
        await _started(reader)
        yield reader
    finally:
        await close_consumer(reader, _CLOSE_S)


async def _started(reader: Any) -> None:
    try:
        async with asyncio.timeout(_CONNECT_S):
            await reader.start()
    except TimeoutError as error:
        raise BrokerError(f"Kafka did not answer within {_CONNECT_S:g} s") from error
