"""Reads a topic without a group: every reader sees every record. Committed records only, in order per partition; survives the broker's absence.

async with aclosing(tail(kafka, "conversations.v1", from_="end")) as records:
    async for record in records: …
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Final, Literal

from aiokafka import TopicPartition

from services.chassis.clock import Clock, system_clock
from services.chassis.kafka.clients import (
    FETCH_WAIT_MS,
    WATCHER_FETCH_WAIT_MS,
    BrokerError,
    KafkaAccess,
    Patience,
    assign,
    close_consumer,
    plain_reader,
    record_of,
)
from services.chassis.kafka.records import Record

log = logging.getLogger(__name__)

From = Literal["beginning", "end"] | int
"""Where to begin; an int is milliseconds ago."""

VIEW_REST_S: Final = 0.05
"""The rest of a reader that keeps a view up to date. It must be less than the 0.1 s after which aiokafka fetches the partitions without
records alone, so that the others wait until that fetch ends."""
_POLL_MS: Final = 1000
_RETRY_LEAST, _RETRY_MOST = 0.1, 5.0
_CLOSE: Final = 3.0


async def tail(
    kafka: KafkaAccess,
    topic: str,
    partitions: Iterable[int] | None = None,
    from_: From = "beginning",
    *,
    client_id: str = "tail",
    rest_s: float = 0.0,
    caught_up: Callable[[], None] | None = None,
    clock: Clock = system_clock,
) -> AsyncGenerator[Record, None]:
    """Yield the records of `topic` (logical name), for ever. `partitions` None means all.

    `caught_up` is called once, when all records that existed at the beginning have been yielded. "end" is the end of the log when the first
    connection succeeds; after an interruption, reading continues at the same position. If retention deleted a position, it moves to the beginning.

    `rest_s`: the pause after each fetch with records, so that others gather meanwhile; 0 if a caller waits for the records.
    """
    places = _Places(kafka.topic_prefix + topic, None if partitions is None else sorted(set(partitions)), from_, clock)
    wait = _RETRY_LEAST
    while True:
        reader = plain_reader(
            kafka, client_id=client_id, fetch_wait_ms=WATCHER_FETCH_WAIT_MS if rest_s else FETCH_WAIT_MS
        )
        try:
            await reader.start()
            await places.take(reader)
            patience = Patience(reader)
            while True:
                if caught_up is not None and await places.reached(reader):
                    caught_up()
                    caught_up = None
                batches = await reader.getmany(timeout_ms=_POLL_MS if caught_up is None else 100)
                patience.note(batches or caught_up is not None)
                wait = _RETRY_LEAST
                for tp, messages in batches.items():
                    for message in messages:
                        places.next[tp] = message.offset + 1
                        yield record_of(topic, message)
                if rest_s and caught_up is None and batches:
                    await asyncio.sleep(rest_s)
        except (BrokerError, OSError) as error:
            log.warning("reading %s: %r; again in %.1f s", topic, error, wait)
        finally:
            await close_consumer(reader, _CLOSE)
        await asyncio.sleep(wait)
        wait = min(2 * wait, _RETRY_MOST)


class _Places:
    """The positions of one tail, across connections."""

    def __init__(self, topic: str, partitions: list[int] | None, from_: From, clock: Clock) -> None:
        self._topic = topic
        self._partitions = partitions
        self._from = from_
        self._clock = clock
        self._goal: dict[Any, int] = {}
        self.next: dict[Any, int] = {}

    async def take(self, reader: Any) -> None:
        """Assign the partitions, and seek to the positions at which reading continues."""
        if self._partitions is None:
            known = await reader._client._wait_on_metadata(self._topic)  # the public call answers from a stale cache
            self._partitions = sorted(known)
        tps = [TopicPartition(self._topic, partition) for partition in self._partitions]
        # Before a fetch waits for records on the same connection.
        begin, end = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
        if not self.next:
            self._goal = dict(end)
            self.next = await self._first(reader, tps, begin, end)
        assign(reader, tps)
        for tp in tps:
            self.next[tp] = max(self.next[tp], begin[tp])
            reader.seek(tp, self.next[tp])

    async def _first(self, reader: Any, tps: list[Any], begin: dict[Any, int], end: dict[Any, int]) -> dict[Any, int]:
        if self._from == "beginning":
            return dict(begin)
        if self._from == "end":
            return dict(end)
        since = self._clock() - self._from
        found = await reader.offsets_for_times(dict.fromkeys(tps, since))
        return {tp: end[tp] if found[tp] is None else found[tp].offset for tp in tps}

    async def reached(self, reader: Any) -> bool:
        """Whether all records that existed at the beginning have been read (control batches move the reader's own position only)."""
        for tp, goal in self._goal.items():
            if await reader.position(tp) < goal:
                return False
        return True
