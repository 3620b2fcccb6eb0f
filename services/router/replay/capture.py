"""Capture the state of a running shard from its changelog: a replay can begin from it when the start of the log is no longer kept.

The state is trusted, not verified. A lane writes changelog, position and journal in one transaction, so the changelog's position record names the
newest batch, and folding continues from the journal's record of that batch.
"""

import asyncio
from contextlib import aclosing
from typing import Final

from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.changelog import Position, Restored, read_changelog
from services.chassis.kafka.clients import KafkaAccess
from services.router.lanes.shard import SPEC
from services.router.replay.kafka_log import KafkaShardLog
from services.router.replay.log import NotComparable, ShardLog
from services.router.replay.run import journal_sha256, parse_journal
from services.router.replay.state import ShardState

_BEHIND: Final = 2_000
"""Offsets before the journal's end among which the newest batch is searched; every second one may be the marker of a transaction."""
_TRIES: Final = 25
_PAUSE_S: Final = 0.2
_CLOSE_S: Final = 3.0


async def capture(kafka: KafkaAccess, log: KafkaShardLog, shard: int) -> ShardState:
    """Return the present state of the shard. Raises NotComparable if its newest batch is not in the journal, and KafkaError."""
    at = Position(0, 0, 0)
    for _ in range(_TRIES):
        bounds = await log.bounds()
        restored = await read_changelog(
            kafka,
            kafka.topic_prefix + SPEC.changelog_topic,
            shard,
            client_id="replay",
            progress=lambda _read, _total: None,
            close_timeout=_CLOSE_S,
        )
        if restored.position is None:
            return ShardState(shard)
        found = await newest(log, shard, restored.position, bounds.journal_end - _BEHIND)
        if found is not None:
            return _state(shard, restored, *found)
        at = restored.position
        await asyncio.sleep(_PAUSE_S)  # the markers of one transaction are not written to all partitions at once
    raise NotComparable(
        f"shard {shard}: the journal does not contain the newest batch of the changelog (owner {at.epoch}, clock {at.now_ms}); "
        "try again after the next command"
    )


async def newest(log: ShardLog, shard: int, position: Position, offset: int) -> tuple[int, pb.JournalRecord] | None:
    """Return the journal's record, at or after `offset`, of the batch that a position belongs to."""
    found: tuple[int, pb.JournalRecord] | None = None
    owner = (
        0 if offset <= 0 else position.epoch
    )  # an owner's first record can be recognised only after another owner's, or at the log's beginning
    async with aclosing(log.journal(max(0, offset))) as chunks:
        async for chunk in chunks:
            for stored in chunk:
                record = parse_journal(shard, stored)
                takes_over, owner = record.lane_epoch > owner, record.lane_epoch
                if owner != position.epoch:
                    continue
                same = record.now_ms == position.now_ms and record.next_offset <= position.offset
                # When it has only taken over, an owner has recorded the clock of its predecessor.
                if same or (takes_over and position.now_ms < record.now_ms):
                    found = stored.offset, record
    return found


def _state(shard: int, restored: Restored, offset: int, record: pb.JournalRecord) -> ShardState:
    position = restored.position
    assert position is not None
    return ShardState(
        shard, position.epoch, record.now_ms, position.offset, offset, journal_sha256(record), restored.entries
    )
