"""The records of one partition that were read and not yet taken by its lane; pauses the consumer when there are too many."""

from collections import deque

from services.chassis.kafka.contract import LaneTuning
from services.chassis.kafka.lane_dependencies import Input
from services.chassis.kafka.records import Record


def not_before(records: list[Record], offset: int) -> list[Record]:
    """Return the records from an offset on. `records`: in order of offset, at least one."""
    if records[0].offset >= offset:
        return records
    return [record for record in records if record.offset >= offset]


class ReadAhead:
    """The records in order of offset. Nothing is accepted before `begin` and after `end`."""

    def __init__(self, source: Input, partition: int, tuning: LaneTuning) -> None:
        self.paused = True
        self._source = source
        self._partition = partition
        self._tuning = tuning
        self._records: deque[Record] = deque()
        self._accepting = False
        self._next = 0  # the offset of the next record to accept

    def __bool__(self) -> bool:
        return bool(self._records)

    @property
    def first_offset(self) -> int | None:
        """The offset of the first record that waits; None when none does."""
        return self._records[0].offset if self._records else None

    @property
    def oldest_ms(self) -> int | None:
        """The timestamp of the first record that waits; None when none does."""
        return self._records[0].timestamp_ms if self._records else None

    def begin(self, offset: int) -> None:
        """Read from an offset on."""
        self._records.clear()
        self._next = offset
        self._source.seek(self._partition, offset)
        self._source.resume(self._partition)
        self.paused = False
        self._accepting = True

    def end(self, *, pause: bool) -> None:
        """Drop what waits, and accept nothing more. `pause`: the consumer still has the partition."""
        self._accepting = False
        self._records.clear()
        if pause and not self.paused:
            self.paused = True
            self._source.pause(self._partition)

    def offer(self, records: list[Record]) -> bool:
        """Take records in order of offset, and return whether any is new. Records before the next one belong to an earlier fetch."""
        if not self._accepting:
            return False
        fresh = not_before(records, self._next)
        if not fresh:
            return False
        self._next = fresh[-1].offset + 1
        self._records.extend(fresh)
        if len(self._records) >= self._tuning.buffer_records and not self.paused:
            self.paused = True
            self._source.pause(self._partition)
        return True

    def take(self) -> list[Record]:
        """Return the next batch, within the limits of records and bytes."""
        tuning, records = self._tuning, self._records
        batch: list[Record] = []
        room = min(tuning.max_batch_records, len(records))
        size = 0
        while room > 0:
            size += len(records[0].value or b"")
            if batch and size > tuning.max_batch_bytes:
                break
            batch.append(records.popleft())
            room -= 1
        if self.paused and len(records) <= tuning.buffer_records // 2:
            self.paused = False
            self._source.resume(self._partition)
        return batch
