"""A lane's changelog: reads the lane's state and position back.

The position is a record of the changelog itself, written in every transaction. It contains the offset to read next, the clock of the last batch
(so that time never goes backwards across owners) and the number of the ownership.

When this runs, the transactions of the last ownership are complete, because both of its producers have been fenced. So the end of the log
is final, and a read up to it is a read of everything.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiokafka import TopicPartition

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.chassis.kafka.clients import BrokerError, KafkaAccess, close_consumer, plain_reader

POSITION_KEY: Final = b"\x00position"
_STALLED_AFTER: Final = 30.0
_POLL_MS: Final = 200


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The position of a lane. New fields go to the end, with a default."""

    offset: int
    now_ms: int
    epoch: int

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
    """The live entries of one changelog partition, ordered by last write, and the position, if there was one."""

    entries: dict[bytes, bytes] = field(default_factory=dict)
    position: Position | None = None

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply one record of the changelog; a record without a value deletes its key."""
        if key is None:
            return
        if key == POSITION_KEY:
            self.position = None if value is None else Position.decode(value)
            return
        self.entries.pop(key, None)
        if value is not None:
            self.entries[key] = value


async def read_changelog(
    kafka: KafkaAccess,
    topic: str,
    partition: int,
    *,
    client_id: str,
    progress: Callable[[int, int], None],
    close_timeout: float,
) -> Restored:
    """Read a changelog partition (physical topic name) from its beginning to its end.

    Raises aiokafka's KafkaError when the broker is out of reach or makes no progress for 30 s.
    """
    found = Restored()
    tp = TopicPartition(topic, partition)
    reader = plain_reader(kafka, client_id=client_id)
    try:
        await reader.start()
        reader.assign([tp])
        begin = int((await reader.beginning_offsets([tp]))[tp])
        end = int((await reader.end_offsets([tp]))[tp])
        reader.seek(tp, begin)
        position, moved_at = begin, time.monotonic()
        progress(0, end - begin)
        while position < end:
            for message in (await reader.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
                found.apply(message.key, message.value)
            reached = int(await reader.position(tp))
            if reached > position:
                position, moved_at = reached, time.monotonic()
                progress(position - begin, end - begin)
            elif time.monotonic() - moved_at > _STALLED_AFTER:
                raise BrokerError(f"restore of {topic}/{partition} stopped at {position} of {end}")
            await asyncio.sleep(0)  # during a long restore, let heartbeats and other lanes run
    finally:
        await close_consumer(reader, close_timeout)
    return found
