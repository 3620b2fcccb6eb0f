"""One owned partition, from assignment to revocation: take over, work, recover, let go.

    take over   the steps of `claims`, then `start` and its commit            -- may be cancelled until it claims
    work        batch: handle, submit to the writer; effects when it is durable -- stops between batches
        recover     after any failure: discard the state, take over again
    let go      the free claim, after the last batch

Stage one (handle and send batch N+1) runs while stage two (commit N, then its effects) is in progress; each has at most one batch. So a batch
contains the records that arrived while the previous batch was sent: no record waits when the lane is idle, and batches grow under load.
"""

import asyncio
import logging
import time
from collections import deque
from contextlib import AsyncExitStack, ExitStack
from typing import Final

from services.chassis.kafka.batch import BatchRunner, Replay, Taken
from services.chassis.kafka.changelog import POSITION_KEY, Position
from services.chassis.kafka.clients import BrokerError
from services.chassis.kafka.contract import Follower, Processor
from services.chassis.kafka.lane_dependencies import LaneDependencies, Source
from services.chassis.kafka.ownership import Owned, Ownership
from services.chassis.kafka.positions import replaced
from services.chassis.kafka.progress import Progress
from services.chassis.kafka.read_ahead import ReadAhead
from services.chassis.kafka.records import Record
from services.chassis.kafka.refused import RefusedPartition
from services.chassis.kafka.stage import CommitSlot
from services.chassis.kafka.transactions.contents import Sealed
from services.chassis.kafka.transactions.producer import TransactionFailed
from services.chassis.kafka.witness import TakeoverRefused, Witness
from services.chassis.kafka.writer import Part

log = logging.getLogger(__name__)

_IDLE_TIMERS: Final = 0.005
"""Seconds after timers that did nothing, so that a domain whose wake-up time does not advance cannot spin."""


class PartitionLane:
    """The life of one partition in this process. `run` returns when `stop` was called, and raises ProcessorFailed."""

    def __init__(self, parts: LaneDependencies, partition: int, source: Source) -> None:
        self.partition = partition
        self.processor: Processor | None = None
        self.committed_offset: int | None = None
        self._parts = parts
        self._source = source
        self._ownership = Ownership(parts, partition, source)
        self.refused = RefusedPartition(parts, partition, self._ownership)
        self._batches = BatchRunner(parts.spec, partition, parts.tuning, parts.metrics, parts.encode_dead_letter)
        self._buffer = ReadAhead(source, partition, parts.tuning)
        self._held = False
        self._next_offset = 0  # of the next record to take
        self._now_ms = 0
        self._progress: Progress | None = None  # of a `Follower`
        self._handled: deque[tuple[int, float]] = deque()  # (next offset, time taken) of batches not yet committed
        self._unwritten = 0  # records handled since the last batch that was written
        self._unwritten_to = 0  # and the next offset after them
        self._submitted = 0  # the number of the last batch that was written
        self._alone = False  # whether this lane is suspected of records that the broker refuses
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._working = False
        self._interrupted = False  # whether `stop` has cancelled the task

    # -- called by the runner

    def offer(self, records: list[Record]) -> None:
        """Take records in order of offset. Records before the lane's position belong to an earlier fetch and are dropped."""
        if self._buffer.offer(records):
            self._wake.set()

    def hold(self, *, held: bool) -> None:
        """Back-pressure by the service: while held, no records are taken; timers still run."""
        self._held = held
        self._wake.set()

    def stop(self) -> None:
        """Finish the current batch and return from `run`; a takeover or a pause after a failure is cancelled."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._wake.set()
        if self._task is not None and not self._working:
            self._interrupted = True
            self._task.cancel()

    def observe(self) -> None:
        """Called about once a second."""
        if self._progress is not None:
            self._progress.observe()

    @property
    def witness(self) -> Witness | None:
        """What the group should know about the last durable position; None as long as this process has owned nothing."""
        return self._ownership.witness

    @property
    def idle_at(self) -> int | None:
        """Return the committed offset when no record that was read is waiting; None otherwise."""
        if self._buffer or self.committed_offset is None or self.committed_offset != self._next_offset:
            return None
        return self.committed_offset

    @property
    def oldest_waiting_ms(self) -> int | None:
        """Return the timestamp of the oldest record that was read but not taken."""
        return self._buffer.oldest_ms

    @property
    def oldest_uncommitted(self) -> float:
        """Return the seconds since the oldest handled but uncommitted record was taken; 0 when there is none."""
        return time.monotonic() - self._handled[0][1] if self._handled else 0.0

    async def run(self) -> None:
        """Own the partition until `stop`."""
        self._task = task = asyncio.current_task()
        assert task is not None
        try:
            try:
                await self._own_until_stopped()
            except asyncio.CancelledError:
                if not self._interrupted:
                    raise
                task.uncancel()  # it may hold a claim all the same, if it waited after a failure
            await self._let_go()
        except asyncio.CancelledError:
            if not self._stop.is_set():
                raise
        finally:
            self.refused.end()
            self._parts.metrics.lost(self._parts.spec.name, self.partition)

    async def _own_until_stopped(self) -> None:
        tuning = self._parts.tuning
        wait = tuning.retry_least
        while not self._stop.is_set():
            alive_since = time.monotonic()
            try:
                try:
                    await self._own()
                except TakeoverRefused as refusal:
                    await self.refused.wait(refusal)
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

    # -- taking over

    async def _own(self) -> None:
        began = time.monotonic()
        try:
            with ExitStack() as held:
                owned = await self._ownership.take(held, self._claiming)
                await self._start(owned)
                self._begin_work(owned, began)
                owned.heap.live()
                try:
                    await self._work(owned)
                finally:
                    self._end_work()
        finally:
            self._working = False

    def _claiming(self) -> None:
        """From now on `stop` lets the lane finish: without a release, the next owner has to fence this process."""
        self._working = True

    async def _start(self, owned: Owned) -> None:
        position = owned.position
        owned.incarnation.cluster.times.committed(position.now_ms)
        self._now_ms = max(position.now_ms, self._parts.clock())
        self._batches.skip(owned.skips)
        started = self._batches.start(owned.processor, self._now_ms, position.epoch)
        # With the clock of the start; otherwise a later owner with a slow clock could go back behind it.
        position = Position(position.offset, self._now_ms, position.epoch)
        part = owned.incarnation.submit(self._seal(started, position), alone=self._alone)
        await self._sent(part)
        await part.durable
        self._ownership.wrote(position)
        self._reply(started)

    def _begin_work(self, owned: Owned, began: float) -> None:
        parts, position, processor = self._parts, owned.position, owned.processor
        self._submitted = self._unwritten = 0
        self._next_offset = self.committed_offset = position.offset
        self._batches.forget_before(position.offset)
        self._buffer.begin(position.offset)
        self.processor = processor
        self.refused.end()
        took = time.monotonic() - began
        parts.metrics.restored(parts.spec.name, self.partition, owned.entries, took)
        log.info(
            "%s: owned, epoch %d, position %d, %d entries in %.2f s",
            self,
            position.epoch,
            position.offset,
            owned.entries,
            took,
        )
        parts.on_owned(self.partition, processor)

    def _end_work(self) -> None:
        self.processor = None
        self._handled.clear()
        self._buffer.end(pause=not self._stop.is_set())
        self._parts.on_lost(self.partition)

    # -- working

    async def _work(self, owned: Owned) -> None:
        processor, position = owned.processor, owned.position
        async with AsyncExitStack() as stack:
            stack.callback(owned.incarnation.listen(self._wake.set))
            stage_two = await stack.enter_async_context(CommitSlot(self._parts.tuning.stop_timeout))
            progress = self._progress = self._follow(owned)
            stack.push_async_callback(progress.close)
            alone = self._alone
            while await self._wait_for_work(owned, stage_two):
                followed = progress.followed(self._tick(), self._buffer.first_offset)
                batch = self._take()
                if batch and self._parts.prepare is not None:
                    await self._parts.ready(batch)
                    self._tick()
                taken = await self._batches.run(processor, batch, self._now_ms, position.epoch, followed)
                if batch:
                    progress.watermark.handled(batch[-1].timestamp_ms)
                if taken.idle:
                    await asyncio.sleep(_IDLE_TIMERS)
                    continue
                if self._may_stay_unwritten(taken):
                    position = replaced(position, taken, self._now_ms)
                    self._leave_unwritten(taken, position, stage_two)
                    continue
                if alone != self._alone:  # only parts of one kind are durable in the order in which they were submitted
                    await stage_two.settle()
                    alone = self._alone
                position = replaced(position, taken, self._now_ms, self._submitted + 1)
                self._submitted, self._unwritten = position.batch, 0
                part = owned.incarnation.submit(self._seal(taken, position), alone=alone)
                await self._sent(part)
                await stage_two.settle()
                stage_two.start(self._durable(part, taken, position))
            await stage_two.settle()

    def _may_stay_unwritten(self, taken: Taken) -> bool:
        return taken.outbox.empty and self._unwritten + taken.records < self._parts.tuning.unwritten_records

    def _leave_unwritten(self, taken: Taken, position: Position, stage_two: CommitSlot) -> None:
        """Handle a batch that wrote nothing: another owner would handle it again, to the same end."""
        self._unwritten += taken.records
        self._unwritten_to = position.offset
        if stage_two.free:
            self._settle(position.offset)
        self._parts.metrics.unwritten(self._parts.spec.name, self.partition, taken.records)

    def _settle(self, offset: int) -> None:
        """Note that nothing before an offset needs to be handled again by this owner."""
        self.committed_offset = offset
        while self._handled and self._handled[0][0] <= offset:
            self._handled.popleft()
        self._batches.forget_before(offset)

    async def _wait_for_work(self, owned: Owned, stage_two: CommitSlot) -> bool:
        """Return True when there are records to take or a timer is due; False after `stop`. Raises if the commit in progress
        or the incarnation failed."""
        processor = owned.processor
        while not self._stop.is_set():
            stage_two.check()
            owned.incarnation.check()
            if self._buffer and not self._held:
                return True
            due = processor.next_wakeup()
            self._wake.clear()
            wait = None if due is None else self._until_due(due, processor)
            if wait is not None and wait <= 0:
                return True
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return False

    def _follow(self, owned: Owned) -> Progress:
        """Return what finds the watermark of this ownership."""
        parts, cluster = self._parts, owned.incarnation.cluster
        place = parts.kafka.topic_prefix + parts.spec.input, self.partition
        return Progress(
            self._source,
            self.partition,
            end=lambda: cluster.end_of(place, committed=False),
            clock=parts.clock,
            wake=self._wake.set,
            paused=lambda: self._buffer.paused,
            slack_ms=round(parts.tuning.watermark_slack * 1000),
        )

    def _until_due(self, due_ms: int, processor: Processor) -> float:
        """Return the seconds until timers may fire, or until the lane should look again. Those of a `Follower` wait for the watermark."""
        if self._progress is None or not isinstance(processor, Follower):
            return (due_ms - self._parts.clock()) / 1000
        return self._progress.wait(due_ms, self._buffer.first_offset)

    def _take(self) -> list[Record]:
        """Return the next batch; empty while held."""
        batch = [] if self._held else self._buffer.take()
        if batch:
            self._next_offset = batch[-1].offset + 1
            self._handled.append((self._next_offset, time.monotonic()))
        return batch

    def _tick(self) -> int:
        self._now_ms = max(self._now_ms, self._parts.clock())
        return self._now_ms

    def _seal(self, taken: Taken, position: Position) -> Sealed:
        changes = taken.outbox.changes()
        changes[POSITION_KEY] = position.encode()
        return Sealed(taken.outbox, changes, self._now_ms, self._ownership.place)

    async def _sent(self, part: Part) -> None:
        try:
            await part.sent
        except TransactionFailed:
            self._alone = part.suspect
            raise

    async def _durable(self, part: Part, taken: Taken, position: Position) -> None:
        """Stage two: wait until the batch is durable, then run the effects."""
        parts = self._parts
        try:
            asked = time.monotonic()
            await part.durable
            self._alone = False
            self._ownership.wrote(position)
            last = position.batch == self._submitted
            self._settle(self._unwritten_to if last and self._unwritten else position.offset)
            parts.metrics.committed(parts.spec.name, self.partition, taken.records, time.monotonic() - asked)
            for reason in taken.dead_letters:
                parts.metrics.dead_letter(parts.spec.name, self.partition, reason)
            self._reply(taken)
        finally:
            self._wake.set()

    def _reply(self, taken: Taken) -> None:
        self._fault("before_reply")
        for effect in taken.outbox.effects:
            effect()
        self._fault("after_reply")

    # -- letting go, and recovering

    async def _let_go(self) -> None:
        try:
            await self._ownership.release(self._now_ms)
        except TransactionFailed as failure:
            self._report(failure)

    def _report(self, failure: TransactionFailed) -> None:
        parts = self._parts
        if failure.fenced:
            parts.metrics.fenced(parts.spec.name, self.partition)
        reason = "unknown_outcome" if failure.unknown else "transaction"
        parts.metrics.aborted(parts.spec.name, self.partition, reason)
        log.warning("%s: %s; restoring", self, str(failure))

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
