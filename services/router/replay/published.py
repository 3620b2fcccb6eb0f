"""Compare what the topics hold with what the re-run decided, record by record.

The journal's hash proves the decision; it does not prove that the records which others read are those that were decided. A shard's records keep
their order within each partition of routing.events.v1 and gateway.feed.v1, so each of the re-run's effects must be the shard's next record there.
Events name their pool, so an event of the shard's pools that nothing decided is a difference too. Notices do not: a notice that nothing
decided is not recognised.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Final, Self

from google.protobuf.message import DecodeError

from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import Record
from services.router.lanes.shard import EVENTS, FEED
from services.router.replay.difference import Located, Pools, located, original, side
from services.router.replay.log import DISORDER_MS, Chunks, LogPartition, ShardLog

_COMPARED: Final = frozenset({EVENTS, FEED})
_ODD: Final = 1_000
"""Records of much later times that are passed by in a partition before a record counts as missing: another shard's clock may have been wrong."""


@dataclass(slots=True)
class _Partition:
    """The records of one partition that were read and not yet compared."""

    chunks: Chunks
    shortened: bool
    """Whether retention has removed its first records."""
    ahead: deque[Record] = field(default_factory=deque)
    first_ms: int | None = None
    """The latest time among the first records that are kept; None before they are read."""
    met: bool = False
    """Whether one of the shard's records was found: from then on, each must be."""

    async def read(self, *, patient: bool) -> bool:
        """Read on. Returns whether there is more; at the end, a `patient` reader waits for records whose commit is on its way."""
        while (chunk := await anext(self.chunks, None)) is not None:
            if chunk:
                if self.first_ms is None:
                    self.first_ms = max(record.timestamp_ms for record in chunk)
                self.ahead.extend(chunk)
                return True
            if not patient:
                return False
        return False

    def may_have_lost(self, now_ms: int) -> bool:
        """Whether retention may have removed the records of that time."""
        return self.shortened and not self.met and (self.first_ms is None or now_ms <= self.first_ms + DISORDER_MS)


class Published:
    """The published records of one shard. Enter it before the first batch."""

    def __init__(self, log: ShardLog, since_ms: int) -> None:
        """`since_ms`: the clock of the last batch before the first one that is compared."""
        self.compared = 0
        self.not_kept = 0
        """Effects whose records retention may have removed."""
        self._log = log
        self._since_ms = since_ms
        self._shortened: frozenset[LogPartition] = frozenset()
        self._partitions: dict[LogPartition, _Partition] = {}
        self._pools: set[tuple[str, str]] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._shortened = await self._log.shortened()
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self._stack.aclose()

    async def compare(self, sends: Sequence[Send], now_ms: int, pools: Pools) -> Located | None:
        """Compare the effects of one batch. `pools` are the shard's after it. Returns the first difference."""
        self._pools.update(pools)
        for ordinal, send in enumerate(sends):
            if send.topic in _COMPARED:
                found = await self._find(ordinal, send, now_ms)
                if found is not None:
                    return found
        return None

    async def rest(self, now_ms: int) -> Located | None:
        """Return an event of the shard's pools before the last batch's clock that no batch decided."""
        for at in self._log.events():
            partition, odd = await self._partition(at), 0
            while odd < _ODD and (partition.ahead or await partition.read(patient=False)):
                record = partition.ahead.popleft()
                odd += record.timestamp_ms > now_ms + DISORDER_MS
                if record.timestamp_ms < now_ms and self._undecided(record, partition):
                    return located("no batch decided this event, and the topic holds it", None, original(record), None)
        return None

    async def _find(self, ordinal: int, send: Send, now_ms: int) -> Located | None:
        at = self._log.place(send.topic, send.partition, send.key)
        partition = await self._partition(at)
        index = odd = 0
        other: Record | None = None
        while odd < _ODD and (
            index < len(partition.ahead) or await partition.read(patient=not partition.may_have_lost(now_ms))
        ):
            record = partition.ahead[index]
            odd += record.timestamp_ms > now_ms + DISORDER_MS
            index += 1
            if (record.key, record.value) == (send.key, send.value):
                if other is not None:
                    return located(
                        "no batch decided this event, and the topic holds it", ordinal, original(other), None
                    )
                for _ in range(index):
                    partition.ahead.popleft()
                partition.met = True
                self.compared += 1
                return None
            if other is None and self._undecided(record, partition):
                other = record
        if partition.may_have_lost(now_ms):
            self.not_kept += 1
            return None
        ours = side(send, at)
        if other is not None and _name(other.value) == _name(send.value):
            return located("the topic holds another record than was decided", ordinal, original(other), ours)
        return located("the topic does not hold this record", ordinal, None, ours)

    def _undecided(self, record: Record, partition: _Partition) -> bool:
        """Whether it is an event of the shard's that must have been the next one."""
        if (
            record.topic != EVENTS
            or record.timestamp_ms <= self._since_ms
            or partition.may_have_lost(record.timestamp_ms)
        ):
            return False
        try:
            event = pb.RoutingEvent.FromString(record.value or b"")
        except DecodeError:
            return False  # the shard that wrote it misses a record
        return (event.tenant, event.pool) in self._pools

    async def _partition(self, at: LogPartition) -> _Partition:
        found = self._partitions.get(at)
        if found is None:
            chunks = await self._stack.enter_async_context(aclosing(self._log.published(at, self._since_ms)))
            found = self._partitions[at] = _Partition(chunks, at in self._shortened)
        return found


def _name(value: bytes | None) -> str:
    """Return an event's id."""
    return pb.RoutingEvent.FromString(value or b"").event_id
