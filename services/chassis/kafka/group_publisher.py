"""Publishes the records of concurrent callers in common batches.

Records that are published in one turn of the event loop are distributed to their partitions at its end. A partition has one batch in flight;
the records that arrive meanwhile are its next batch. So batches are as large as the load requires, an idle partition sends at once, and the
records of a partition are in the order of the calls. One timer serves all callers of a turn that have the same time-out.

A record is in flight until its outcome is known, even if its caller has given up. Records and bytes in flight are bounded; the callers of
further records wait in order. A record whose caller gives up before its batch is made is not sent.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Iterable
from typing import Any

from aiokafka.errors import ProducerClosed, UnknownTopicOrPartitionError

from services.chassis.kafka.partitioning import Partitioner
from services.chassis.kafka.producer_connection import ProducerConnection
from services.chassis.kafka.publish_deadline import PublishDeadline
from services.chassis.kafka.records import Headers

log = logging.getLogger(__name__)

Outcome = tuple[int, int] | Exception
"""(partition, offset) of a durable record, or why it is not known to be durable."""


class PendingRecord:
    """A record on its way. `outcome` is also done when its caller has been cancelled."""

    __slots__ = (
        "deadline",
        "headers",
        "key",
        "outcome",
        "partition",
        "size",
        "timestamp_ms",
        "topic",
        "value",
        "waiting",
    )

    def __init__(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Headers,
        partition: int | None,
        timestamp_ms: int | None,
        size: int,
    ) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = headers
        self.partition = partition
        self.timestamp_ms = timestamp_ms
        self.size = size
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.deadline: PublishDeadline
        self.waiting = False

    def settle(self, outcome: Outcome) -> None:
        """Give the caller its outcome, unless the caller has given up."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)
        self.deadline.settled()


class _Partition:
    """The records of one partition that are in no batch yet. `sending`: a task sends them."""

    __slots__ = ("number", "records", "sending", "topic")

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.records: deque[PendingRecord] = deque()
        self.sending = False


class _Topic:
    """The records of one topic that are in no partition yet. `due`: they will be distributed."""

    __slots__ = ("due", "name", "partitions", "records")

    def __init__(self, name: str) -> None:
        self.name = name
        self.records: list[PendingRecord] = []
        self.due = False
        self.partitions: dict[int, _Partition] = {}


class GroupPublisher:
    """The batches of one producer. `topic` is everywhere the full name of a topic."""

    def __init__(
        self,
        connection: ProducerConnection,
        *,
        client_id: str,
        connect_s: float,
        linger_s: float,
        max_records: int,
        max_bytes: int,
    ) -> None:
        """`connect_s`: the time to connect, and to learn the partitions of a topic. `linger_s`: delays each turn's end."""
        self._connection = connection
        self._client_id = client_id
        self._connect_s = connect_s
        self._linger_s = linger_s
        self._free_records = max_records
        self._free_bytes = max_bytes
        self._max_records = max_records
        self._topics: dict[str, _Topic] = {}
        self._waiting: dict[PendingRecord, None] = {}
        self._deadlines: dict[float, PublishDeadline] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: asyncio.Future[None] | None = None
        self._closed = False
        self._partitioner = Partitioner()

    async def publish(self, record: PendingRecord, timeout: float) -> Outcome:  # noqa: ASYNC109 - a deadline with an outcome
        """Return the outcome of a record: a TimeoutError after `timeout` seconds, KafkaError or OSError when it failed.

        Any other error is a mistake in the record, such as a partition that does not exist.
        """
        if self._closed:
            return _closed()
        self._watch(record, timeout)
        if self._waiting or not self._fits(record):
            record.waiting = True
            self._waiting[record] = None
        else:
            self._admit(record)
        try:
            return await record.outcome
        finally:
            if record.waiting:
                del self._waiting[record]
                record.deadline.settled()

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - a deadline for giving up politely
        """Refuse further records; wait until the others have their outcomes, for `timeout` seconds at most; close the connection."""
        self._closed = True
        if self._connection.current is not None and self._free_records < self._max_records:
            self._idle = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._idle
            except TimeoutError:
                log.warning("%s: closed with records in flight", self._client_id)
        await self._connection.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._abandon()

    # ---- the bounds

    def _fits(self, record: PendingRecord) -> bool:
        """Return whether the record may be in flight now. If nothing is in flight, the bound on bytes does not apply."""
        free = self._free_records
        return free > 0 and (self._free_bytes >= record.size or free == self._max_records)

    def _admit(self, record: PendingRecord) -> None:
        self._free_records -= 1
        self._free_bytes -= record.size
        topic = self._topics.get(record.topic)
        if topic is None:
            topic = self._topics[record.topic] = _Topic(record.topic)
        topic.records.append(record)
        if not topic.due:
            topic.due = True
            loop = asyncio.get_running_loop()
            if self._linger_s > 0:
                loop.call_later(self._linger_s, self._distribute, topic)
            else:
                loop.call_soon(self._distribute, topic)

    def _settle(self, records: Iterable[PendingRecord], error: Exception) -> None:
        for record in records:
            self._free_records += 1
            self._free_bytes += record.size
            record.settle(error)
        self._after_settling()

    def _after_settling(self) -> None:
        while self._waiting:
            record = next(iter(self._waiting))
            if not self._fits(record):
                break
            del self._waiting[record]
            record.waiting = False
            self._admit(record)
        if self._idle is not None and self._free_records == self._max_records and not self._idle.done():
            self._idle.set_result(None)

    def _watch(self, record: PendingRecord, timeout: float) -> None:
        deadline = self._deadlines.get(timeout)
        if deadline is None or deadline.over:
            loop = asyncio.get_running_loop()
            if not self._deadlines:
                loop.call_soon(self._deadlines.clear)
            deadline = self._deadlines[timeout] = PublishDeadline(loop, timeout)
        record.deadline = deadline
        deadline.add(record.outcome)

    # ---- the batches

    def _distribute(self, topic: _Topic) -> None:
        """Put the records of a turn into their partitions."""
        if not topic.records:
            topic.due = False
            return
        producer = self._connection.current
        numbers = producer.client.cluster.partitions_for_topic(topic.name) if producer is not None else None
        if not numbers:
            self._spawn(self._prepare(topic))
            return
        topic.due = False
        records, topic.records = topic.records, []
        ordered = sorted(numbers)
        for record in records:
            number = record.partition
            if number is None:
                # The choice of Kafka's default partitioner.
                number = ordered[self._partitioner.of(record.key, len(ordered))]
            elif number not in numbers:
                self._settle((record,), ValueError(f"{topic.name} has no partition {number}"))
                continue
            partition = topic.partitions.get(number)
            if partition is None:
                partition = topic.partitions[number] = _Partition(topic.name, number)
            partition.records.append(record)
            if not partition.sending:
                partition.sending = True
                self._spawn(self._send(partition))

    async def _prepare(self, topic: _Topic) -> None:
        """Connect and learn the topic's partitions. Records that arrive meanwhile share the result."""
        try:
            producer = await self._connection.open(self._connect_s)
            async with asyncio.timeout(self._connect_s):
                if not await producer.partitions_for(topic.name):
                    raise UnknownTopicOrPartitionError
        except Exception as error:  # noqa: BLE001 - every caller gets it
            topic.due = False
            records, topic.records = topic.records, []
            self._settle(records, error)
        else:
            self._distribute(topic)

    async def _send(self, partition: _Partition) -> None:
        """Send batch after batch until the partition has no records."""
        try:
            while partition.records:
                await self._send_batch(partition)
        finally:
            partition.sending = False

    async def _send_batch(self, partition: _Partition) -> None:
        producer: Any = None
        sent = False
        records: list[PendingRecord] = []
        try:
            producer = await self._connection.open(self._connect_s)
            batch = producer.create_batch()
            self._fill(batch, partition.records, records)
            if not records:
                return
            acknowledgement = await producer.send_batch(batch, partition.topic, partition=partition.number)
            sent = True
            written = await acknowledgement
        except asyncio.CancelledError:
            self._settle(records, _closed())
            raise
        except Exception as error:  # noqa: BLE001 - every caller gets it
            if producer is None:  # the connection failed, for all that wait for it
                records.extend(partition.records)
                partition.records.clear()
            self._settle(records, error)
            if producer is not None:
                await self._connection.replace_failed(producer, error, sent=sent)
        else:
            self._free_records += len(records)
            offset, number = int(written.offset), partition.number
            for place, record in enumerate(records, offset):
                self._free_bytes += record.size
                record.settle((number, place))
            self._after_settling()

    def _fill(self, batch: Any, waiting: deque[PendingRecord], records: list[PendingRecord]) -> None:
        """Move records into the batch until it is full. The first always fits."""
        while waiting:
            record = waiting[0]
            if record.outcome.done():  # its caller has given up
                waiting.popleft()
                self._settle((record,), TimeoutError())
                continue
            try:
                added = batch.append(
                    timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=list(record.headers)
                )
            except Exception as error:  # noqa: BLE001 - it is about this record, and its caller gets it
                waiting.popleft()
                self._settle((record,), error)
                continue
            if added is None:
                return
            records.append(waiting.popleft())

    # ---- tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _abandon(self) -> None:
        """Settle the records that are in no batch at the end."""
        waiting = list(self._waiting)
        self._waiting.clear()
        for record in waiting:
            record.waiting = False
            record.settle(_closed())
        for topic in self._topics.values():
            self._settle(topic.records, _closed())
            topic.records = []
            for partition in topic.partitions.values():
                self._settle(partition.records, _closed())
                partition.records.clear()


def _closed() -> Exception:
    error: Exception = ProducerClosed()
    return error
