"""An at-least-once member of a consumer group, for projections and dispatchers: it passes a batch to the handler, then commits its offsets.

A batch is passed again after a crash, a rebalance, `NotNow`, or an outage (`_AWAY`): the handler must be idempotent. After any other
exception the records of the batch are passed one by one. A record that makes the handler fail repeatedly is skipped
(`poison`), and the others are handled.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from services.chassis.kafka.clients import BrokerError, KafkaAccess, close_consumer, group_consumer, record_of
from services.chassis.kafka.failures import shown
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.kafka.records import InvalidRecord, Record

log = logging.getLogger(__name__)

Handler = Callable[[list[Record]], Awaitable[None]]
"""Gets up to `max_batch` records of several topics and partitions, in order per partition."""

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
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._logical = {kafka.topic_prefix + topic: topic for topic in topics}
        self._handler = handler
        self._client_id = client_id
        self._max_batch = max_batch
        self._first = first
        self._poison = poison
        self._stop = asyncio.Event()
        self._joined = asyncio.Event()

    @property
    def joined(self) -> bool:
        """Whether the group has assigned partitions (perhaps none): for the startup probe."""
        return self._joined.is_set()

    def stop(self) -> None:
        """Make `run` return after the current batch."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop` or cancellation. If the broker is away, wait for it."""
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
            )
            busy = asyncio.Lock()
            consumer.subscribe(list(self._logical), listener=_WaitForBatch(busy, self._joined))
            try:
                await consumer.start()
                await self._consume(consumer, busy)
                return
            except (BrokerError, OSError) as error:
                log.warning("group %s: %r; joining again in %.1f s", self._group, error, wait)
            finally:
                self._joined.clear()
                await close_consumer(consumer, _CLOSE)
            await self._pause(wait)
            wait = min(2 * wait, _RETRY_MOST)

    async def _consume(self, consumer: Any, busy: asyncio.Lock) -> None:
        wait = _RETRY_LEAST
        while not self._stop.is_set():
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=self._max_batch)
            if not batches:
                continue
            records = [
                record_of(self._logical[message.topic], message)
                for messages in batches.values()
                for message in messages
            ]
            async with busy:
                try:
                    await self._handled(records)
                except _AWAY as reason:
                    log.warning("group %s: batch of %d again in %.1f s: %s", self._group, len(records), wait, reason)
                    for tp, messages in batches.items():
                        with suppress(IllegalStateError):  # the partition may have been revoked meanwhile
                            consumer.seek(tp, messages[0].offset)
                    again = True
                else:
                    again = False
                    with suppress(CommitFailedError, IllegalStateError):  # its next owner handles the batch again
                        await consumer.commit({tp: messages[-1].offset + 1 for tp, messages in batches.items()})
            if again:
                await self._pause(wait)
                wait = min(2 * wait, _RETRY_MOST)
            else:
                wait = _RETRY_LEAST

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


class _WaitForBatch(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Delays revocation until the current batch is committed, within a deadline: fewer records are delivered twice."""

    def __init__(self, busy: asyncio.Lock, joined: asyncio.Event) -> None:
        self._busy = busy
        self._joined = joined

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_FINISH):
                async with self._busy:
                    return

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._joined.set()
