"""A lane's changelog: reads the lane's state, position and claim back.

The position is a record of the changelog itself, written in the transaction of every batch. It contains the offset to read next, the
clock of the last batch (so that time never goes backwards across owners), the number of the ownership and that of the batch.

A read ends at the end of what is committed. That end is final once the owner that the claim names has been fenced (see `claims`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.chassis.kafka.claims import CLAIM_KEY, Claim
from services.chassis.kafka.clients import BrokerError, KafkaAccess, close_consumer, plain_reader

POSITION_KEY: Final = b"\x00position"
_STALLED_AFTER: Final = 30.0
_POLL_MS: Final = 200
_LOOK_AGAIN: Final = 0.005


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The position of a lane. New fields go to the end, with a default."""

    offset: int
    now_ms: int
    epoch: int
    batch: int = 0
    """The number of the batch in its ownership; two positions of one ownership are never equal."""

    def encode(self) -> bytes:
        """Return the record's value."""
        return _POSITIONS.encode(self)

    @staticmethod
    def decode(value: bytes) -> "Position":
        """Parse the value. Raises UnknownVersion, and msgspec.DecodeError for bytes that are not a position."""
        return _POSITIONS.decode(value)


_POSITIONS: Final = ChangelogCodec[Position](Position)


@dataclass(slots=True)
class Restored:
    """The live entries of one changelog partition, ordered by last write, and the position and the claim, if there are any."""

    entries: dict[bytes, bytes] = field(default_factory=dict)
    position: Position | None = None
    claim: Claim | None = None
    begin: int = 0
    """The first offset of the changelog. Compaction does not move it; the deletion of records does."""

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply one record of the changelog; a record without a value deletes its key."""
        if key is None:
            return
        if key == POSITION_KEY:
            self.position = None if value is None else Position.decode(value)
            return
        if key == CLAIM_KEY:
            self.claim = None if value is None else Claim.decode(value)
            return
        self.entries.pop(key, None)
        if value is not None:
            self.entries[key] = value


class ChangelogReader:
    """Reads one changelog partition, once to its end or again to a later end. `found`: the entries that were read so far."""

    def __init__(self, reader: Any, place: TopicPartition, begin: int, progress: Callable[[int, int], None]) -> None:
        self.found = Restored(begin=begin)
        self._reader = reader
        self._place = place
        self._begin = self._at = begin
        self._progress = progress

    @property
    def read_to(self) -> int:
        """Return the offset behind everything that was read."""
        return self._at

    async def to_end(self) -> Restored:
        """Read to the present end. Raises aiokafka's KafkaError when the broker is out of reach or makes no progress for 30 s."""
        place, reader = self._place, self._reader
        end = int((await reader.end_offsets([place]))[place])
        moved_at = time.monotonic()
        self._progress(self._at - self._begin, end - self._begin)
        while self._at < end:
            for message in (await reader.getmany(place, timeout_ms=_POLL_MS)).get(place, ()):
                self.found.apply(message.key, message.value)
            reached = int(await reader.position(place))
            if reached > self._at:
                self._at, moved_at = reached, time.monotonic()
                self._progress(self._at - self._begin, end - self._begin)
            elif time.monotonic() - moved_at > _STALLED_AFTER:
                raise BrokerError(f"restore of {place.topic}/{place.partition} stopped at {self._at} of {end}")
            await asyncio.sleep(0)  # during a long restore, let heartbeats and other lanes run
        return self.found

    async def until(self, position: Position | None, claim: Claim, within: float) -> Restored:
        """Read until the position of a commit that is known to be durable: its markers may still be on their way. Also return
        when another owner has ended `claim`."""
        until = time.monotonic() + within
        while (found := await self.to_end()).position != position and not claim.ended_by(found.claim):
            if time.monotonic() > until:
                place = self._place
                raise BrokerError(
                    f"{place.topic}/{place.partition} shows {found.position} after the commit of {position}"
                )
            await asyncio.sleep(_LOOK_AGAIN)
        return found


@asynccontextmanager
async def changelog_reader(
    kafka: KafkaAccess,
    topic: str,
    partition: int,
    *,
    client_id: str,
    progress: Callable[[int, int], None],
    close_timeout: float,
) -> AsyncIterator[ChangelogReader]:
    """Open a reader of a changelog partition (physical topic name), at its beginning. Raises aiokafka's KafkaError."""
    place = TopicPartition(topic, partition)
    reader = plain_reader(kafka, client_id=client_id)
    try:
        await reader.start()
        reader.assign([place])
        begin = int((await reader.beginning_offsets([place]))[place])
        reader.seek(place, begin)
        yield ChangelogReader(reader, place, begin, progress)
    finally:
        await close_consumer(reader, close_timeout)


async def read_changelog(
    kafka: KafkaAccess,
    topic: str,
    partition: int,
    *,
    client_id: str,
    progress: Callable[[int, int], None],
    close_timeout: float,
) -> Restored:
    """Read a changelog partition from its beginning to its end, for tools and tests. Raises as `ChangelogReader.to_end`."""
    async with changelog_reader(
        kafka, topic, partition, client_id=client_id, progress=progress, close_timeout=close_timeout
    ) as reader:
        return await reader.to_end()
