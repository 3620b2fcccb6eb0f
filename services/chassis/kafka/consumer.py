"""An at-least-once member of a consumer group, for projections and dispatchers: it passes a batch to the handler, then commits its offsets.

A batch is passed again after a crash, a rebalance, `NotNow`, or an outage (`_AWAY`): the handler must be idempotent. After any other
exception the records of the batch are passed one by one. A record that makes the handler fail repeatedly is skipped
(`poison`), and the others are handled.

A member fetches at a pace: after a batch that was not full it pauses, so that the records of the pause arrive with one request. It does
not ask the broker to wait for more bytes instead, because that makes an idle member poll more often.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from services.chassis.clock import Clock, system_clock
from services.chassis.kafka.clients import (
    WATCHER_FETCH_WAIT_MS,
    BrokerError,
    KafkaAccess,
    Patience,
    close_consumer,
    group_consumer,
    record_of,
)
from services.chassis.kafka.contract import NO_METRICS, LaneMetrics
from services.chassis.kafka.failures import shown
from services.chassis.kafka.group_topics import GroupTopics
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.kafka.records import InvalidRecord, Record

log = logging.getLogger(__name__)

Handler = Callable[[list[Record]], Awaitable[None]]
"""Gets up to `max_batch` records of several topics and partitions, in order per partition."""

PACE_S: Final = 0.05
_POLL_MS: Final = 500
_RETRY_LEAST, _RETRY_MOST = 0.1, 10.0
_CLOSE: Final = 3.0
_ATTEMPTS: Final = 3
_FINISH: Final = 10.0


class NotNow(Exception):  # noqa: N818 - a request, not a failure
    """Raised by a handler when its own dependency is away: the same batch is passed again after a growing pause."""


_AWAY: Final = (NotNow, BrokerUnavailable, BrokerError, OSError)
"""Errors that say nothing about a record: the broker, the keys or another system is away. They never cause a record to be skipped."""


class GroupConsumer:
    """Runs a handler over topics (logical names) as a member of a group (logical name)."""

    def __init__(
        self,
        kafka: KafkaAccess,
        *,
        group: str,
        topics: Sequence[str],
        handler: Handler,
        client_id: str,
        poison: Poison,
        max_batch: int = 500,
        first: Literal["beginning", "end"] = "beginning",
        pace_s: float = PACE_S,
        finish_s: float = 0.0,
        metrics: LaneMetrics = NO_METRICS,
        on_joined: Callable[[bool], None] | None = None,
        clock: Clock = system_clock,
        fault: Callable[[str], None] | None = None,
    ) -> None:
        """`pace_s`: seconds between a batch that was not full and the next fetch. `finish_s`: seconds that the current batch may take to end
        when `run` is cancelled; 0 leaves it to the next owner. `metrics` gets lag, batches and assignments under the group's name, of a member
        with one topic. `on_joined(joined)` is called when the group has assigned partitions, perhaps none, and when it has taken them back.
        `fault` is a hook for tests: called with "handled" before the offsets of each batch are committed.
        """
        self._kafka = kafka
        self._group = group
        self._logical = {kafka.topic_prefix + topic: topic for topic in topics}
        self._handler = handler
        self._client_id = client_id
        self._max_batch = max_batch
        self._first = first
        self._poison = poison
        self._pace_s = pace_s
        self._finish_s = finish_s
        self._metrics = metrics
        self._on_joined = on_joined
        self._clock = clock
        self._fault = fault
        self._stop = asyncio.Event()
        self._joined = False

    @property
    def joined(self) -> bool:
        """Whether the group has assigned partitions (perhaps none): for the startup probe."""
        return self._joined

    def stop(self) -> None:
        """Make `run` return after the current batch."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop` or cancellation. If the broker is away, wait for it."""
        async with asyncio.TaskGroup() as tasks:
            memberships = tasks.create_task(self._memberships())
            try:
                await asyncio.wait({memberships})
            except asyncio.CancelledError:
                self.stop()
                await asyncio.wait({memberships}, timeout=self._finish_s)
                raise

    async def _memberships(self) -> None:
        """Run one membership after another until stopped: a consumer that failed is replaced."""
        wait = _RETRY_LEAST
        while not self._stop.is_set():
            consumer = group_consumer(
                self._kafka,
                group=self._group,
                client_id=self._client_id,
                session_timeout_ms=10_000,
                heartbeat_interval_ms=1_000,
                rebalance_timeout_ms=30_000,
                on_unknown_position="earliest" if self._first == "beginning" else "latest",
                fetch_wait_ms=WATCHER_FETCH_WAIT_MS,
            )
            busy, topics = asyncio.Lock(), GroupTopics(self._group, consumer)
            consumer.subscribe(
                list(self._logical), listener=_Assignments(busy, consumer, topics, self._assigned, self._revoked)
            )
            try:
                await consumer.start()
                await self._consume(consumer, busy, topics)
                return
            except (BrokerError, OSError, TimeoutError) as error:
                log.warning("group %s: %r; joining again in %.1f s", self._group, error, wait)
            finally:
                self._revoked(consumer.assignment())
                await close_consumer(consumer, _CLOSE)
            await self._pause(wait)
            wait = min(2 * wait, _RETRY_MOST)

    async def _consume(self, consumer: Any, busy: asyncio.Lock, topics: GroupTopics) -> None:
        wait, patience = _RETRY_LEAST, Patience(consumer)
        while not self._stop.is_set():
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=self._max_batch)
            patience.note(batches)
            if topics.unchecked:
                _again(consumer, batches)
                await topics.check_assigned()
                continue
            if not batches:
                await topics.find_missing()
                await self._measure(consumer)
                continue
            records = [
                record_of(self._logical[message.topic], message)
                for messages in batches.values()
                for message in messages
            ]
            async with busy:
                began = time.monotonic()
                for tp, messages in batches.items():
                    self._metrics.batch(self._group, tp.partition, len(messages))
                try:
                    await self._handled(records)
                except _AWAY as reason:
                    log.warning("group %s: batch of %d again in %.1f s: %s", self._group, len(records), wait, reason)
                    _again(consumer, batches)
                    again = True
                else:
                    again = False
                    if self._fault is not None:
                        self._fault("handled")
                    with suppress(CommitFailedError, IllegalStateError):  # its next owner handles the batch again
                        if not await topics.unchanged():
                            continue
                        await consumer.commit(
                            {tp: (messages[-1].offset + 1, topics.text(tp.topic)) for tp, messages in batches.items()}
                        )
                        for tp, messages in batches.items():
                            self._metrics.committed(self._group, tp.partition, len(messages), time.monotonic() - began)
            await self._measure(consumer, {tp: messages[0].timestamp for tp, messages in batches.items()})
            if again:
                await self._pause(wait)
                wait = min(2 * wait, _RETRY_MOST)
            else:
                wait = _RETRY_LEAST
                if len(records) < self._max_batch:
                    await self._pause(self._pace_s)

    def _assigned(self, consumer: Any, assigned: set[TopicPartition]) -> None:
        self._metrics.rebalanced(self._group, len(assigned))
        for topic in self._logical:
            self._metrics.input_partitions(self._group, len(consumer.partitions_for_topic(topic) or ()))
        self._join(joined=True)

    def _revoked(self, revoked: set[TopicPartition]) -> None:
        for tp in revoked:
            self._metrics.lost(self._group, tp.partition)
        self._join(joined=False)

    def _join(self, *, joined: bool) -> None:
        if joined != self._joined:
            self._joined = joined
            if self._on_joined is not None:
                self._on_joined(joined)

    async def _measure(self, consumer: Any, read: Mapping[TopicPartition, int] | None = None) -> None:
        """Report the lag of each partition. `read`: the time, in ms, of the oldest record of the newest batch, per partition."""
        if self._metrics is NO_METRICS:
            return
        now_ms = self._clock()
        for tp in consumer.assignment():
            stable = consumer.last_stable_offset(tp)
            behind = 0 if stable is None else max(0, stable - await consumer.position(tp))
            oldest_ms = (read or {}).get(tp, now_ms)
            self._metrics.lag(self._group, tp.partition, behind, max(0, now_ms - oldest_ms) / 1000 if behind else 0.0)

    async def _handled(self, records: list[Record]) -> None:
        """Pass the batch; if that fails, pass each record alone, and skip those that fail repeatedly."""
        try:
            await self._handler(records)
        except _AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - a record must not end the group's member
            log.error("group %s: a batch of %d failed (%s); one by one now", self._group, len(records), shown(error))
        else:
            return
        for record in records:
            await self._alone(record)

    async def _alone(self, record: Record) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._handler([record])
            except _AWAY:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                if attempt == _ATTEMPTS or isinstance(error, InvalidRecord):
                    await self._poison.bury(record, error)
                    return
            else:
                return
            await self._pause(_RETRY_LEAST)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


def _again(consumer: Any, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
    """Let the next fetch begin with these records."""
    for tp, messages in batches.items():
        with suppress(IllegalStateError):  # the partition may have been revoked meanwhile
            consumer.seek(tp, messages[0].offset)


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Delays revocation until the current batch is committed, within a deadline: fewer records are delivered twice."""

    def __init__(
        self,
        busy: asyncio.Lock,
        consumer: Any,
        topics: GroupTopics,
        assigned: Callable[[Any, set[TopicPartition]], None],
        revoked: Callable[[set[TopicPartition]], None],
    ) -> None:
        self._busy = busy
        self._consumer = consumer
        self._topics = topics
        self._assigned = assigned
        self._revoked = revoked

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_FINISH), self._busy:
                pass
        self._revoked(revoked)

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._topics.assigned(assigned)
        self._assigned(self._consumer, assigned)
