"""What a replay reads of one shard: only committed records, in chunks, in order of offset, up to the end that `open` saw."""

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.chassis.kafka.records import Record

Chunks = AsyncGenerator[list[Record], None]
LogPartition = tuple[str, int]
"""Logical topic and partition."""

DISORDER_MS: Final = 60_000
"""Lanes write into a partition in the order of their commits, whose delay against their clocks is below this."""


class NotComparable(Exception):  # noqa: N818 - the name says what happened
    """A comparison would be meaningless, because something is unknown; the text says what, and how to fix it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """First offset that is still kept, and the end, of the journal and of the commands of a shard."""

    journal_begin: int
    journal_end: int
    commands_begin: int


class ShardLog(Protocol):
    """One shard's part of the topics. Topics are logical names, times milliseconds."""

    async def bounds(self) -> Bounds:
        """Return the bounds. The end of the commands is read after the journal's, so that no journaled batch lacks commands."""

    def journal(self, offset: int) -> Chunks:
        """Yield the shard's journal from an offset."""

    def commands(self, offset: int) -> Chunks:
        """Yield the shard's commands from an offset."""

    def dead_letters(self, since_ms: int) -> Chunks:
        """Yield all dead letters since a time."""

    def effects(self, from_ms: int, to_ms: int) -> Chunks:
        """Yield events and notices of all shards, of these times and slightly more; in order within each partition."""

    def events(self) -> Sequence[LogPartition]:
        """Return the partitions of the events."""

    def published(self, at: LogPartition, since_ms: int) -> Chunks:
        """Yield one partition of events or notices since a time; then an empty chunk, and what was committed while it was read."""

    async def shortened(self) -> frozenset[LogPartition]:
        """Return the partitions of events and notices of which some records are no longer kept."""

    async def forgotten(self, from_ms: int) -> frozenset[LogPartition]:
        """Return partitions of events and notices whose records of that time may be gone."""

    def place(self, topic: str, partition: int | None, key: bytes) -> LogPartition:
        """Return the topic and partition to which a record belongs."""


class Commands:
    """A shard's commands, read batch by batch. `skipped` are the offsets that never reached the processor."""

    def __init__(self, chunks: Chunks, position: int, skipped: frozenset[int]) -> None:
        self._chunks = chunks
        self._read: deque[Record] = deque()
        self._position = position
        self._skipped = skipped

    async def take(self, first: int, end: int) -> list[Record]:
        """Return the records of a batch. Raises NotComparable if some are no longer kept, Undecided if the batch skips others."""
        passed = [record.offset for record in await self._before(first) if record.offset not in self._skipped]
        if passed:
            raise Undecided(passed)
        batch = await self._before(end)
        if not batch or batch[0].offset != first or batch[-1].offset != end - 1:
            found = f"offsets {batch[0].offset} to {batch[-1].offset}" if batch else "none of them"
            raise NotComparable(
                f"the batch of offsets {first} to {end - 1} can't be decided again: of its commands, {found} is still kept; "
                "begin from a later state file (--state)"
            )
        return batch

    async def _before(self, end: int) -> list[Record]:
        while not self._read or self._read[-1].offset < end - 1:
            try:
                self._read.extend(await anext(self._chunks))
            except StopAsyncIteration:
                break
        taken: list[Record] = []
        while self._read and self._read[0].offset < end:
            taken.append(self._read.popleft())
        return taken


class Undecided(Exception):  # noqa: N818 - the name says what happened
    """Commands that no batch of the journal took and that are not dead letters."""

    def __init__(self, offsets: list[int]) -> None:
        super().__init__(
            f"no batch took the commands at {', '.join(map(str, offsets[:5]))}{'…' if offsets[5:] else ''}"
        )
