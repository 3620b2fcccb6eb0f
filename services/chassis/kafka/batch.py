"""Runs one batch through a processor: order of calls, poison, oversized outputs, bugs. It has no Kafka, so fakes and replays share it.

Findings about a record survive the restore that follows: a record that the replay must leave out is remembered by its offset until the
position has passed it.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from services.chassis.kafka.away import Away
from services.chassis.kafka.contract import (
    DeadLetterEncoder,
    Follower,
    LaneMetrics,
    LaneSpec,
    LaneTuning,
    Processor,
    ProcessorFailed,
)
from services.chassis.kafka.deadletters import dead_letter_headers, shortened
from services.chassis.kafka.failures import shown
from services.chassis.kafka.outbox import BatchOutbox, Mark, OutputTooLarge
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka.watermark import Followed
from services.chassis.reasons import Reason

log = logging.getLogger(__name__)

SKIPPED: Final = Reason.SKIPPED_BY_OPERATOR
FAILED: Final = Reason.PROCESSOR_FAILED
_SLICE: Final = 0.005
"""Seconds of handling after which the event loop gets a turn (heartbeats, other lanes, gRPC)."""
_LOOK_AT_THE_CLOCK: Final = 8
"""Records between two checks of the time."""


class Replay(Exception):  # noqa: N818 - a request, not a failure
    """The processor's memory can no longer be trusted: restore, and run the batch again. `reason` is a metric label."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(slots=True)
class Taken:
    """A batch that was handled: its outputs and how far it got. `next_offset` is None for timers only."""

    outbox: BatchOutbox
    records: int = 0
    next_offset: int | None = None
    dead_letters: list[str] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to commit."""
        return self.records == 0 and self.outbox.empty


class BatchRunner:
    """Runs batches of one partition and remembers the records that must not reach the processor."""

    def __init__(
        self, spec: LaneSpec, partition: int, tuning: LaneTuning, metrics: LaneMetrics, encode: DeadLetterEncoder
    ) -> None:
        self._spec = spec
        self._partition = partition
        self._tuning = tuning
        self._metrics = metrics
        self._encode = encode
        self._failures: dict[int | None, int] = {}
        self._poison: dict[int, InvalidRecord] = {
            offset: InvalidRecord(SKIPPED) for owner, offset in tuning.skip if owner == partition
        }

    def skip(self, offsets: Iterable[int]) -> None:
        """Leave these records out: an operator has decided so."""
        for offset in offsets:
            self._poison.setdefault(offset, InvalidRecord(SKIPPED))

    def forget_before(self, offset: int) -> None:
        """Forget the records before `offset`: they are committed."""
        for known in [o for o in self._poison if o < offset]:
            del self._poison[known]
        for tried in [o for o in self._failures if o is not None and o < offset]:
            del self._failures[tried]

    def start(self, processor: Processor, now_ms: int, epoch: int) -> Taken:
        """Call the processor's `start` after its restore."""
        taken = self._new(epoch)
        try:
            processor.start(now_ms, taken.outbox)
        except Away:
            raise
        except Exception as error:  # noqa: BLE001 - any exception is a bug, counted and raised again
            self._failed(None, error)
        return taken

    async def run(
        self, processor: Processor, records: list[Record], now_ms: int, epoch: int, followed: Followed | None = None
    ) -> Taken:
        """Call begin, then due timers, then the records in order, then end. Raises Replay, ProcessorFailed, or Away.

        `followed`: passed to a `Follower`; None leaves its timers free.
        """
        taken = self._new(epoch)
        self._metrics.batch(self._spec.name, self._partition, len(records))
        try:
            processor.begin(now_ms)
            if followed is not None and isinstance(processor, Follower):
                processor.follow(followed)
            due = processor.next_wakeup()
            if due is not None and due <= now_ms:
                processor.advance(now_ms, taken.outbox)
            _nothing_hidden(taken.outbox)
        except Away:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(None, error)
        await self._handle(processor, records, now_ms, taken)
        try:
            processor.end(taken.outbox)
            _nothing_hidden(taken.outbox)
        except Away:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(None, error)
        if records:
            taken.records = len(records)
            taken.next_offset = records[-1].offset + 1
        self._failures.pop(None, None)
        return taken

    async def _handle(self, processor: Processor, records: list[Record], now_ms: int, taken: Taken) -> None:
        """The hot loop: the cost of each call and attribute in it is per record."""
        outbox, handle, poison = taken.outbox, processor.handle, self._poison
        sends, state, effects = outbox.sends, outbox.state, outbox.effects
        until = time.monotonic() + _SLICE
        for number, record in enumerate(records, 1):
            outbox.caused_by(record.headers)
            if poison and record.offset in poison:
                self._bury(record, poison[record.offset], now_ms, taken)
                continue
            before = (len(sends), len(state), len(effects))
            try:
                handle(record, outbox)
            except InvalidRecord as verdict:
                self._refused(record, verdict, before, now_ms, taken)
            except Away:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(record.offset, error)
            else:
                if outbox.refused is not None:  # and the processor swallowed the exception
                    self._refused(record, outbox.refused, before, now_ms, taken)
            if not number % _LOOK_AT_THE_CLOCK and time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + _SLICE
        outbox.caused_by(())

    def _new(self, epoch: int) -> Taken:
        return Taken(BatchOutbox(epoch, self._tuning.max_output_bytes))

    def _refused(self, record: Record, verdict: InvalidRecord, before: Mark, now_ms: int, taken: Taken) -> None:
        """Write a dead letter at once if the record had no effect yet; otherwise the processor's memory may hold half of it: replay without it."""
        if taken.outbox.refused is None and taken.outbox.mark() == before:
            self._bury(record, verdict, now_ms, taken)
            return
        verdict = taken.outbox.refused or verdict
        self._poison[record.offset] = InvalidRecord(verdict.reason, verdict.detail)
        raise Replay("replay", f"record {record.offset} is refused ({verdict.reason}) after it had effects")

    def _bury(self, record: Record, verdict: InvalidRecord, now_ms: int, taken: Taken) -> None:
        key = f"{record.topic}/{record.partition}".encode()
        try:
            value = self._encode(record, verdict, self._spec.name, now_ms)
            taken.outbox.dead_letter(self._tuning.dead_letters, key, value, dead_letter_headers(record))
        except OutputTooLarge:
            taken.outbox.refused = None
            record, verdict = shortened(record, verdict, self._tuning.max_output_bytes // 4)
            value = self._encode(record, verdict, self._spec.name, now_ms)
            taken.outbox.dead_letter(self._tuning.dead_letters, key, value, dead_letter_headers(record))
        taken.dead_letters.append(verdict.reason)

    def _failed(self, offset: int | None, error: Exception) -> None:
        """Count a bug, per record (for timers, start and end together). After the last attempt the record is skipped.

        Without a record there is nothing to skip: the lane ends.
        """
        tries = self._failures[offset] = self._failures.get(offset, 0) + 1
        if tries >= self._tuning.attempts:
            if offset is None or not self._tuning.step_over:
                raise ProcessorFailed(self._spec.name, self._partition, offset, tries) from error
            log.error(
                "lane %s/%d: record %d failed %d times and becomes a dead letter: %s",
                self._spec.name,
                self._partition,
                offset,
                tries,
                shown(error),
            )
            self._poison[offset] = InvalidRecord(FAILED, f"{type(error).__name__}, {tries} times")
        raise Replay(
            "processor", f"attempt {tries} at {'no record' if offset is None else offset}: {error!r}"
        ) from error


def _nothing_hidden(outbox: BatchOutbox) -> None:
    """Raise if an oversized output was refused without a record: that is a bug, even if the processor swallowed the exception."""
    if outbox.refused is not None:
        raise outbox.refused
