"""One partition's scores on feedback.scores.v1: written in transactions, restored from committed records.

State, progress in the input, and expired windows are written in one transaction, so they always agree. The
transactional id belongs to the partition: opening it fences the previous owner and waits for that owner's last
transaction. So an instance that was paused and wakes up cannot overwrite newer entries, and the restored state is
complete. There is one way to recover from all other failures: close, open again, process the records again; records
that were counted already are not counted again.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final, Self

from aiokafka import TopicPartition

from services.chassis.clock import Clock
from services.chassis.ids import derive
from services.chassis.kafka.clients import (
    FENCED,
    BrokerError,
    KafkaAccess,
    close_consumer,
    discard_producer,
    plain_reader,
    transactional_producer,
)
from services.chassis.kafka.failures import shown
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.records import Headers
from services.chassis.kafka.tail import tail
from services.chassis.logs import get_logger
from services.feedback.domain.scores import Dimension, ScoreTable
from services.feedback.translate.records import Untranslatable, parse_record
from services.feedback.translate.scores import (
    PROGRESS,
    observation,
    parse_entry,
    parse_score_key,
    progress_record,
    score_key,
    score_record,
)

INPUT: Final = "feedback.responses.v1"
OUTPUT: Final = "feedback.scores.v1"
NAME: Final = "feedback-analytics"
_TRANSACTION_MS: Final = 60_000
_REQUEST_MS: Final = 10_000
_BATCH_BYTES: Final = 1 << 20
_CLOSE_S: Final = 3.0
_WRITE_S: Final = 20.0
_AHEAD_MS: Final = 86_400_000
log = get_logger(__name__)


class NotWritten(Exception):  # noqa: N818 - an expected state of the world
    """The transaction is not known to be durable. `fenced`: another instance has opened the partition."""

    def __init__(self, why: str, *, fenced: bool) -> None:
        super().__init__(why)
        self.fenced = fenced


class ScoreLog:
    """Opened by `open_scores`. `table` holds the histograms; call `take`, then `write`."""

    def __init__(self, kafka: KafkaAccess, partition: int, clock: Clock) -> None:
        self._kafka = kafka
        self._clock = clock
        self.partition = partition
        self.table = ScoreTable()
        self._producer = transactional_producer(
            kafka,
            transactional_id=f"{kafka.topic_prefix}{NAME}-{partition}",
            client_id=f"{NAME}-{partition}",
            transaction_timeout_ms=_TRANSACTION_MS,
            request_timeout_ms=_REQUEST_MS,
            max_batch_bytes=_BATCH_BYTES,
        )

    async def open(self) -> Self:
        """Fence other owners, then restore. Raises NotWritten, and is then closed again."""
        try:
            async with asyncio.timeout(_WRITE_S):
                await self._producer.start()
            await self._restore()
        except BaseException as error:
            await self.close()
            if isinstance(error, BrokerError | OSError | TimeoutError):
                raise NotWritten(repr(error), fenced=isinstance(error, FENCED)) from error
            raise
        return self

    async def close(self) -> None:
        """Close the log. Never raises."""
        await discard_producer(self._producer, _CLOSE_S)

    def take(self, offset: int, value: bytes | None) -> str:
        """Count one record of the input. Returns the fault of the record, or "". A record that is not understood is
        skipped: it must not stop the others."""
        return count_record(self.table, offset, value, self._clock())

    async def catch_up(self, until: int) -> int:
        """Count the records between the table's position and an offset, and return their number. There are none,
        unless the source of records has skipped some."""
        found = 0
        if self.table.next_offset == 0:
            return found  # an entry of an earlier version: only the consumer group knows how far it had read
        async with aclosing(committed_between(self._kafka, self.partition, self.table.next_offset, until)) as records:
            async for message in records:
                found += 1
                self.take(message.offset, message.value)
        return found

    async def write(self) -> None:
        """Write all changes in one transaction; returns when it is durable. Raises NotWritten: then close this log
        and open another."""
        changed = self.table.changes()
        if not changed:
            return
        now_ms, topic = self._clock(), self._kafka.topic_prefix + OUTPUT
        progress = progress_record(self.partition, self.table.next_offset, self.table.newest_ms, now_ms)
        records = [
            (dimension, None if counts is None else score_record(dimension, self.partition, counts, now_ms))
            for dimension, counts in changed.items()
        ]
        records.append((PROGRESS, progress))
        entries = [
            (
                score_key(dimension, self.partition),
                None if record is None else record.SerializeToString(deterministic=True),
                () if record is None else self._headers(dimension),
            )
            for dimension, record in records
        ]
        try:
            async with asyncio.timeout(_WRITE_S):
                await self._producer.begin_transaction()
                sent = [
                    await self._producer.send(topic, value, key, self.partition, headers=list(headers))
                    for key, value, headers in entries
                ]
                await asyncio.gather(*sent)
                await self._producer.commit_transaction()
        except (BrokerError, OSError, TimeoutError, AssertionError) as error:
            raise NotWritten(repr(error), fenced=isinstance(error, FENCED)) from error

    def _headers(self, dimension: Dimension) -> Headers:
        """Return the headers of an entry: it is another event for each position up to which it counts."""
        place = score_key(dimension, self.partition).decode("utf-8", "surrogatepass")
        return record_headers(OUTPUT, derive("score", place, str(self.table.next_offset)), dimension.tenant)

    async def _restore(self) -> None:
        """Read the newest entries of the partition from the log."""
        done = asyncio.Event()
        latest: dict[bytes | None, bytes | None] = {}

        async def read() -> None:
            entries = tail(self._kafka, OUTPUT, [self.partition], client_id=f"{NAME}-restore", caught_up=done.set)
            async with aclosing(entries):
                async for entry in entries:
                    latest[entry.key] = entry.value

        reading = asyncio.create_task(read(), name=f"restore {self.partition}")
        finished = asyncio.create_task(done.wait())
        try:
            await asyncio.wait({reading, finished}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading  # it ends only by failing
        finally:
            for task in (reading, finished):
                task.cancel()
            await asyncio.wait({reading, finished})
        restored(self.table, latest)


def count_record(table: ScoreTable, offset: int, value: bytes | None, now_ms: int) -> str:
    """Count one record in a table. Returns the fault of the record, or "". The worst effect of any record is that it
    is not counted."""
    try:
        record = parse_record(value)
        if record.occurred_at_ms > now_ms + _AHEAD_MS:
            # The newest record decides which windows expire: one from the future would empty the table.
            raise Untranslatable("occurred_at_ms is in the future")
        table.take(observation(record), offset, record.occurred_at_ms)
    except Exception as error:  # noqa: BLE001 - whatever a record holds, the next one is counted
        table.take(None, offset, 0)
        return str(error) if isinstance(error, Untranslatable) else shown(error)
    return ""


def restored(table: ScoreTable, latest: Mapping[bytes | None, bytes | None]) -> None:
    """Restore the newest entries of a partition. Entries that are not understood are skipped."""
    for key, value in latest.items():
        if value is None:
            continue
        try:
            dimension, _ = parse_score_key(key)
            named, _, counts, newest_ms = parse_entry(value)
            if named != dimension:
                raise Untranslatable("the key names another dimension than the entry")
        except Untranslatable as error:
            log.error("entry of feedback.scores.v1 not understood", why=str(error))
            continue
        if dimension == PROGRESS:
            table.restore_progress(counts.next_offset, newest_ms)
        else:
            table.restore(dimension, counts)


async def committed_between(kafka: KafkaAccess, partition: int, start: int, until: int) -> AsyncGenerator[Any, None]:
    """Yield the committed records of the input from one offset up to another, as aiokafka's messages, without those
    that retention has deleted."""
    if start >= until:
        return
    place = TopicPartition(kafka.topic_prefix + INPUT, partition)
    reader = plain_reader(kafka, client_id=f"{NAME}-between")
    try:
        await reader.start()
        reader.assign([place])
        first = (await reader.beginning_offsets([place]))[place]
        reader.seek(place, max(start, first))
        # Transaction markers move the position but are not records.
        while await reader.position(place) < until:
            for message in (await reader.getmany(place, timeout_ms=500)).get(place, ()):
                if message.offset >= until:
                    return
                yield message
    finally:
        await close_consumer(reader, _CLOSE_S)


async def end_of(kafka: KafkaAccess, partitions: list[int]) -> dict[int, int]:
    """Return the end of the committed part of the input, by partition."""
    places = [TopicPartition(kafka.topic_prefix + INPUT, partition) for partition in partitions]
    reader = plain_reader(kafka, client_id=f"{NAME}-ends")
    try:
        await reader.start()
        return {place.partition: end for place, end in (await reader.end_offsets(places)).items()}
    finally:
        await close_consumer(reader, _CLOSE_S)
