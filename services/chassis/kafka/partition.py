"""One owned partition, from assignment to revocation: take over, work, recover, let go.

    take over   both producers (fences), changelog, processor, `start`, first commit     -- may be cancelled at any time
    work        batch: handle, send; wait for the commit before; commit; effects          -- stops between batches
        recover     after any failure: discard everything, check that the group still assigns us the partition, take over again

Stage one (handle and send batch N+1) runs while stage two (commit N, then its effects) is in progress; each has at most one batch. So a batch
contains the records that arrived while the previous batch was sent: no record waits when the lane is idle, and batches grow under load.
"""

import asyncio
import logging
import time
from collections import deque
from contextlib import AsyncExitStack
from typing import Final

from services.chassis.kafka.batch import BatchRunner, Replay, Taken
from services.chassis.kafka.changelog import POSITION_KEY, Position, Restored, read_changelog
from services.chassis.kafka.clients import BrokerError
from services.chassis.kafka.contract import (
    LaneContext,
    PositionUnreachable,
    Processor,
)
from services.chassis.kafka.lane_dependencies import Input, LaneDependencies
from services.chassis.kafka.records import Record
from services.chassis.kafka.stage import CommitSlot
from services.chassis.kafka.transactions import Sealed, TakingTurns, Transaction, TransactionFailed

log = logging.getLogger(__name__)

_RECHECK_MEMBERSHIP: Final = 3.0
_RESTORE_SLICE: Final = 1000
_IDLE_TIMERS: Final = 0.005
"""Seconds after timers that did nothing, so that a domain whose wake-up time does not advance cannot spin."""


def not_before(records: list[Record], offset: int) -> list[Record]:
    """Return the records from an offset on. `records`: in order of offset, at least one."""
    if records[0].offset >= offset:
        return records
    return [record for record in records if record.offset >= offset]


class PartitionLane:
    """The life of one partition in this process. `run` returns when `stop` was called, and raises ProcessorFailed or PositionUnreachable."""

    def __init__(self, parts: LaneDependencies, partition: int, source: Input) -> None:
        self.partition = partition
        self.processor: Processor | None = None
        self.committed_offset: int | None = None
        self._parts = parts
        self._source = source
        self._batches = BatchRunner(parts.spec, partition, parts.tuning, parts.metrics, parts.encode_dead_letter)
        self._buffer: deque[Record] = deque()
        self._accepting = False
        self._held = False
        self._paused = True
        self._next_offset = 0  # of the next record to take
        self._read_offset = 0  # of the next record to accept
        self._now_ms = 0
        self._handled: deque[tuple[int, float]] = deque()  # (next offset, time taken) of batches not yet committed
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._working = False

    # -- called by the runner

    def offer(self, records: list[Record]) -> None:
        """Take records in order of offset. Records before the lane's position belong to an earlier fetch and are dropped."""
        if not self._accepting:
            return
        fresh = not_before(records, self._read_offset)
        if not fresh:
            return
        self._read_offset = fresh[-1].offset + 1
        self._buffer.extend(fresh)
        if len(self._buffer) >= self._parts.tuning.buffer_records and not self._paused:
            self._paused = True
            self._source.pause(self.partition)
        self._wake.set()

    def hold(self, *, held: bool) -> None:
        """Back-pressure by the service: while held, no records are taken; timers still run."""
        self._held = held
        self._wake.set()

    def stop(self) -> None:
        """Finish the current batch and return from `run`; a takeover is cancelled."""
        self._stop.set()
        self._wake.set()
        if self._task is not None and not self._working:
            self._task.cancel()

    @property
    def idle_at(self) -> int | None:
        """Return the committed offset when no record that was read is waiting; None otherwise."""
        if self._buffer or self.committed_offset is None or self.committed_offset != self._next_offset:
            return None
        return self.committed_offset

    @property
    def oldest_waiting_ms(self) -> int | None:
        """Return the timestamp of the oldest record that was read but not taken."""
        return self._buffer[0].timestamp_ms if self._buffer else None

    @property
    def oldest_uncommitted(self) -> float:
        """Return the seconds since the oldest handled but uncommitted record was taken; 0 when there is none."""
        return time.monotonic() - self._handled[0][1] if self._handled else 0.0

    async def run(self) -> None:
        """Own the partition until `stop`."""
        self._task = asyncio.current_task()
        tuning = self._parts.tuning
        wait = tuning.retry_least
        try:
            while not self._stop.is_set():
                alive_since = time.monotonic()
                try:
                    await self._own()
                    continue
                # Logged as text: a log record that is kept with its exception keeps the frames, and so the lost state.
                except Replay as again:
                    log.info("%s: batch replayed: %s", self, str(again))
                    self._parts.metrics.aborted(self._parts.spec.name, self.partition, again.reason)
                    continue  # nothing failed outside this process: no need to wait
                except TransactionFailed as failure:
                    self._report(failure)
                except (BrokerError, OSError, TimeoutError) as failure:
                    log.warning("%s: %s; taking over again", self, repr(failure))
                if time.monotonic() - alive_since > 10 * wait:
                    wait = tuning.retry_least
                await self._pause(wait)
                wait = min(2 * wait, tuning.retry_most)
                while not self._stop.is_set() and not await self._still_ours():
                    await self._pause(_RECHECK_MEMBERSHIP)
        except asyncio.CancelledError:
            if not self._stop.is_set():
                raise
        finally:
            self._parts.metrics.lost(self._parts.spec.name, self.partition)

    # -- taking over

    async def _own(self) -> None:
        began = time.monotonic()
        parts, tuning = self._parts, self._parts.tuning
        async with AsyncExitStack() as stack:
            turns = await stack.enter_async_context(
                TakingTurns(
                    parts.kafka,
                    name=parts.spec.name,
                    changelog=parts.spec.changelog_topic,
                    partition=self.partition,
                    client_id=parts.client_id,
                    tuning=tuning,
                )
            )
            self._fault("after_fencing")
            ownership = stack.enter_context(parts.heap.ownership())
            restored, position = await self._restore()
            processor = parts.factory(LaneContext(self.partition, position.epoch))
            await self._feed(processor, restored)
            self._fault("after_restore")
            self._now_ms = max(position.now_ms, parts.clock())
            # With the clock of the start; otherwise a later owner with a slow clock could go back behind it.
            position = Position(position.offset, self._now_ms, position.epoch)
            started = self._batches.start(processor, self._now_ms, position.epoch)
            await self._carry_out(turns.next_turn(), self._seal(started, position), started)
            self._begin_work(processor, position, len(restored.entries), began)
            del restored
            ownership.live()
            try:
                await self._work(turns, processor, position)
            finally:
                self._end_work()

    async def _restore(self) -> tuple[Restored, Position]:
        parts = self._parts
        name = parts.spec.name
        async with parts.restores:
            restored = await read_changelog(
                parts.kafka,
                parts.kafka.topic_prefix + parts.spec.changelog_topic,
                self.partition,
                client_id=f"{parts.client_id}-{self.partition}-restore",
                progress=lambda read, total: parts.metrics.restore_progress(name, self.partition, read, total),
                close_timeout=parts.tuning.close_timeout,
            )
        begin, end = await self._source.bounds(self.partition)
        last = restored.position
        if last is None:
            return restored, Position(begin, 0, 1)
        if last.offset > end:
            raise PositionUnreachable(
                f"{self}: position {last.offset} is beyond the end {end} of its input; the topic was recreated or has lost data"
            )
        if last.offset < begin:
            log.error(
                "%s: %d records were deleted before they were handled; continuing at %d",
                self,
                begin - last.offset,
                begin,
            )
        return restored, Position(max(last.offset, begin), last.now_ms, last.epoch + 1)

    async def _feed(self, processor: Processor, restored: Restored) -> None:
        entries = list(restored.entries.items())
        for number, (key, value) in enumerate(entries):
            if number % _RESTORE_SLICE == 0:
                slice_ = entries[number : number + _RESTORE_SLICE]
                topic = self._parts.spec.changelog_topic
                await self._parts.ready([Record(topic, self.partition, -1, 0, *entry, ()) for entry in slice_])
            processor.restore(key, value)
            if number % _RESTORE_SLICE == 0:
                await asyncio.sleep(0)

    def _begin_work(self, processor: Processor, position: Position, entries: int, began: float) -> None:
        parts = self._parts
        self._working = True
        self._buffer.clear()
        self._next_offset = self._read_offset = self.committed_offset = position.offset
        self._batches.forget_before(position.offset)
        self._source.seek(self.partition, position.offset)
        self._source.resume(self.partition)
        self._paused = False
        self._accepting = True
        self.processor = processor
        took = time.monotonic() - began
        parts.metrics.restored(parts.spec.name, self.partition, entries, took)
        log.info(
            "%s: owned, epoch %d, position %d, %d entries in %.2f s",
            self,
            position.epoch,
            position.offset,
            entries,
            took,
        )
        parts.on_owned(self.partition, processor)

    def _end_work(self) -> None:
        self._working = False
        self._accepting = False
        self.processor = None
        self._handled.clear()
        self._buffer.clear()
        if not self._stop.is_set() and not self._paused:
            self._paused = True
            self._source.pause(self.partition)
        self._parts.on_lost(self.partition)

    # -- working

    async def _work(self, turns: TakingTurns, processor: Processor, position: Position) -> None:
        async with CommitSlot(self._parts.tuning.stop_timeout) as stage_two:
            while await self._wait_for_work(processor, stage_two):
                if self._parts.tuning.linger and self._buffer:
                    await self._pause(self._linger(processor))
                batch = self._take()
                if batch:
                    await self._parts.ready(batch)
                taken = await self._batches.run(processor, batch, self._tick(), position.epoch)
                if taken.idle:
                    await asyncio.sleep(_IDLE_TIMERS)
                    continue
                position = Position(
                    position.offset if taken.next_offset is None else taken.next_offset, self._now_ms, position.epoch
                )
                transaction = turns.next_turn()
                try:
                    await transaction.fill(self._seal(taken, position))
                    self._fault("after_send")
                    await stage_two.settle()
                except BaseException:
                    await transaction.abort()
                    raise
                stage_two.start(self._commit(transaction, taken, position))
            await stage_two.settle()

    def _linger(self, processor: Processor) -> float:
        """Return how long, in seconds, to collect more records: at most until a timer is due, so that collecting never delays a timer."""
        due, linger = processor.next_wakeup(), self._parts.tuning.linger
        return linger if due is None else max(0.0, min(linger, (due - self._parts.clock()) / 1000))

    async def _wait_for_work(self, processor: Processor, stage_two: CommitSlot) -> bool:
        """Return True when there are records to take or a timer is due; False after `stop`. Raises if the commit in progress failed."""
        while not self._stop.is_set():
            stage_two.check()
            if self._buffer and not self._held:
                return True
            due = processor.next_wakeup()
            wait = None if due is None else (due - self._parts.clock()) / 1000
            if wait is not None and wait <= 0:
                return True
            self._wake.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return False

    def _take(self) -> list[Record]:
        """Return the next batch, within the limits of records and bytes; empty while held."""
        tuning, buffer = self._parts.tuning, self._buffer
        batch: list[Record] = []
        room = 0 if self._held else min(tuning.max_batch_records, len(buffer))
        size = 0
        while room > 0:
            size += len(buffer[0].value or b"")
            if batch and size > tuning.max_batch_bytes:
                break
            batch.append(buffer.popleft())
            room -= 1
        if batch:
            self._next_offset = batch[-1].offset + 1
            self._handled.append((self._next_offset, time.monotonic()))
        if self._paused and len(buffer) <= tuning.buffer_records // 2:
            self._paused = False
            self._source.resume(self.partition)
        return batch

    def _tick(self) -> int:
        self._now_ms = max(self._now_ms, self._parts.clock())
        return self._now_ms

    def _seal(self, taken: Taken, position: Position) -> Sealed:
        changes = taken.outbox.changes()
        changes[POSITION_KEY] = position.encode()
        return Sealed(taken.outbox, changes, self._now_ms)

    async def _carry_out(self, transaction: Transaction, sealed: Sealed, taken: Taken) -> None:
        await transaction.fill(sealed)
        await transaction.commit()
        self._reply(taken)

    async def _commit(self, transaction: Transaction, taken: Taken, position: Position) -> None:
        """Stage two: commit, then run the effects."""
        parts = self._parts
        try:
            self._fault("before_commit")
            asked = time.monotonic()
            if parts.tuning.fault is None:
                await transaction.commit()
            else:
                await asyncio.gather(transaction.commit(), self._inside_commit())
            self._fault("after_commit")
            self.committed_offset = position.offset
            while self._handled and self._handled[0][0] <= position.offset:
                self._handled.popleft()
            parts.metrics.committed(parts.spec.name, self.partition, taken.records, time.monotonic() - asked)
            for reason in taken.dead_letters:
                parts.metrics.dead_letter(parts.spec.name, self.partition, reason)
            self._batches.forget_before(position.offset)
            self._reply(taken)
        finally:
            self._wake.set()

    async def _inside_commit(self) -> None:
        for _ in range(4):  # let the client's sender pass the request to the socket
            await asyncio.sleep(0)
        self._fault("inside_commit")

    def _reply(self, taken: Taken) -> None:
        self._fault("before_reply")
        for effect in taken.outbox.effects:
            effect()
        self._fault("after_reply")

    # -- recovering

    def _report(self, failure: TransactionFailed) -> None:
        parts = self._parts
        if failure.fenced:
            parts.metrics.fenced(parts.spec.name, self.partition)
        reason = "unknown_outcome" if failure.unknown else "transaction"
        parts.metrics.aborted(parts.spec.name, self.partition, reason)
        log.warning("%s: %s; discarding both producers and restoring", self, str(failure))

    async def _still_ours(self) -> bool:
        return await self._source.still_ours(self.partition, self.committed_offset)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    def _fault(self, point: str) -> None:
        if self._parts.tuning.fault is not None:
            self._parts.tuning.fault(point)

    def __str__(self) -> str:
        return f"lane {self._parts.spec.name}/{self.partition}"
