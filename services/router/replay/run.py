"""Replay one shard from its start to the window's end, or to the first difference."""

import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError

from chapar.common.v1.dead_letter_pb2 import DeadLetter
from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.batch import FAILED, SKIPPED
from services.chassis.kafka.outbox import OUTPUT_TOO_LARGE, Send
from services.chassis.kafka.records import Record
from services.router.lanes.shard import COMMANDS, SPEC
from services.router.replay.difference import Batch, Located, locate
from services.router.replay.fold import Fold, Rerun
from services.router.replay.log import Bounds, Chunks, Commands, NotComparable, ShardLog, Undecided
from services.router.replay.published import Published
from services.router.replay.state import ShardState
from services.router.replay.window import Window

_UNHANDLED: Final = frozenset({SKIPPED, FAILED, OUTPUT_TOO_LARGE})
"""Reasons of dead letters that did not reach the processor in the batch that was committed. It refused the others itself, and will do so again."""

_KEPT: Final = 10_000

Progress = Callable[[int, int], None]
"""Journal offsets done, of a total."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first batch with another outcome. `effects`: those journaled, and those of the re-run."""

    batch: int
    journal_offset: int
    owner: int
    took_over: bool
    clock_ms: int
    first_offset: int
    next_offset: int
    effects: tuple[int, int]
    found: Located


@dataclass(slots=True)
class ShardReport:
    """The result of a shard's replay. Counts are of the window; batches before it were compared too."""

    shard: int
    batches: int = 0
    commands: int = 0
    effects: int = 0
    takeovers: int = 0
    published: int = 0
    """Records of the topics that were compared with the re-run's effects, of all batches."""
    not_kept: int = 0
    """Effects of all batches whose records the topics no longer hold."""
    before_window: int = 0
    """Batches before the window that were folded and compared."""
    seconds: float = 0.0
    from_ms: int = 0
    to_ms: int = 0
    next_offset: int = 0
    difference: Difference | None = field(default=None)

    @property
    def identical(self) -> bool:
        """Whether every batch equals the original's."""
        return self.difference is None

    def as_data(self) -> dict[str, Any]:
        """Return the report as plain data, for programs."""
        return {
            **asdict(self),
            "identical": self.identical,
            "events_per_second": per_second(self.effects, self.seconds),
        }


def per_second(count: int, seconds: float) -> int:
    """Return a count per second."""
    return round(count / seconds) if seconds else 0


@dataclass(slots=True)
class _Step:
    """One batch, before and after it was run."""

    offset: int
    journal: pb.JournalRecord
    commands: list[Record]
    before_ms: int
    took_over: bool


@dataclass(slots=True)
class _SameClock:
    """Effects of the newest batches that have the same clock."""

    at: tuple[int, int] = (0, 0)
    sends: list[Send] = field(default_factory=list)

    def note(self, journal: pb.JournalRecord, sends: list[Send]) -> None:
        """Record the effects of a batch that equals the original's."""
        before = self.before(journal)
        self.at = (journal.lane_epoch, journal.now_ms)
        # A clock that was set back stays the same for that long: then the oldest effects are dropped, which only affects how a difference is shown.
        self.sends = [*before, *sends][-_KEPT:]

    def before(self, journal: pb.JournalRecord) -> list[Send]:
        """Return the effects before this batch that have its clock."""
        return self.sends if self.at == (journal.lane_epoch, journal.now_ms) else []


async def replay(
    log: ShardLog, start: ShardState, *, window: Window, feed_partitions: int, progress: Progress
) -> ShardReport:
    """Fold and compare batches, and update `start`. Raises NotComparable, and KafkaError when the log can't be read."""
    began = time.monotonic()
    report = ShardReport(start.shard, next_offset=start.position)
    bounds = await log.bounds()
    _check_start(start, bounds, window)
    async with AsyncExitStack() as stack:
        skipped = await _skipped(log, start)
        fold = Fold(start, feed_partitions, skipped)
        commands_from = start.position if start.epoch else bounds.commands_begin
        chunks = await stack.enter_async_context(aclosing(log.commands(commands_from)))
        commands = Commands(chunks, commands_from, skipped)
        journal = await stack.enter_async_context(aclosing(_journal(log, start, bounds)))
        same_clock = _SameClock()
        published = await stack.enter_async_context(Published(log, start.now_ms))
        last: tuple[_Step, Rerun] | None = None
        async for offset, record in journal:
            position = record.first_offset if record.first_offset < record.next_offset else start.position
            if window.is_over(record.now_ms, position):
                break
            step = _Step(offset, record, [], start.now_ms, record.lane_epoch != start.epoch)
            try:
                if record.first_offset < record.next_offset:
                    step.commands = await commands.take(record.first_offset, record.next_offset)
                rerun = await fold.step(record, step.commands)
            except Undecided as undecided:
                rerun = Rerun(failure=str(undecided))
            inside = window.has_begun(record.now_ms, max(record.next_offset, position + 1))
            if not rerun.agrees(record):
                before = same_clock.before(record)
                report.difference = _difference(
                    report, step, rerun, await _locate(log, fold, step, rerun, journal, before)
                )
                break
            found = await published.compare(rerun.sends, record.now_ms, fold.engines)
            if found is not None:
                report.difference = _difference(report, step, rerun, found)
                break
            last = step, rerun
            same_clock.note(record, rerun.sends)
            start.journal_offset, start.journal_sha256 = offset, journal_sha256(record)
            _count(report, step, inside=inside)
            progress(offset + 1 - bounds.journal_begin, bounds.journal_end - bounds.journal_begin)
        if last is not None and report.difference is None:
            step, rerun = last
            found = await published.rest(step.journal.now_ms)
            if found is not None:
                report.difference = _difference(report, step, rerun, found)
        report.published, report.not_kept = published.compared, published.not_kept
    report.next_offset = start.position
    report.seconds = round(time.monotonic() - began, 3)
    return report


def _check_start(start: ShardState, bounds: Bounds, window: Window) -> None:
    """Raise NotComparable when folding from this start is meaningless."""
    mend = "take a state of the running shard with `chapar replay --capture FILE` and begin from it next time (--state FILE)"
    if start.epoch:
        if start.journal_offset + 1 < bounds.journal_begin:
            raise NotComparable(
                f"shard {start.shard}: the state file ends at journal offset {start.journal_offset}, and the journal is kept from "
                f"{bounds.journal_begin} only: begin from a later file, or {mend}"
            )
        if start.position < bounds.commands_begin:
            raise NotComparable(
                f"shard {start.shard}: the state file ends at command {start.position}, and {COMMANDS} is kept from {bounds.commands_begin} "
                f"only: begin from a later file, or {mend}"
            )
        if window.begins_before(start.now_ms, start.position):
            raise NotComparable(
                f"shard {start.shard}: the window begins before the state file's end; take an earlier file, or a later --from"
            )
    elif bounds.journal_begin:
        raise NotComparable(
            f"shard {start.shard}: the journal's beginning is no longer kept (it begins at {bounds.journal_begin}), so the state before its first "
            f"batch is not known: begin from a state file (--state); if there is none, {mend}"
        )


async def _journal(
    log: ShardLog, start: ShardState, bounds: Bounds
) -> AsyncGenerator[tuple[int, pb.JournalRecord], None]:
    """Yield the records after the state's. The state's own record comes first, to check that it is still the same log."""
    known = start.journal_offset
    first = True
    async with aclosing(log.journal(max(known, 0))) as chunks:
        async for chunk in chunks:
            for stored in chunk:
                record = parse_journal(start.shard, stored)
                if (
                    known >= bounds.journal_begin
                    and first
                    and (stored.offset, journal_sha256(record)) != (known, start.journal_sha256)
                ):
                    raise NotComparable(
                        f"shard {start.shard}: the state file is of another log: the record at journal offset {known} is another one; "
                        "were the topics recreated?"
                    )
                # Owners before the first command decided nothing, even if only a later one lived to write its takeover.
                if known < 0 and first and record.lane_epoch != 1 and record.next_offset > 0:
                    raise NotComparable(
                        f"shard {start.shard}: the journal begins with owner {record.lane_epoch}, so what owner 1 left is not known: begin from a "
                        "state file (--state)"
                    )
                first = False
                if stored.offset >= bounds.journal_end:
                    return
                if stored.offset > known:
                    yield stored.offset, record


def parse_journal(shard: int, stored: Record) -> pb.JournalRecord:
    """Parse a record of the journal. Raises NotComparable."""
    try:
        return pb.JournalRecord.FromString(stored.value or b"")
    except DecodeError as error:
        raise NotComparable(
            f"shard {shard}: the record at journal offset {stored.offset} is not a JournalRecord"
        ) from error


def journal_sha256(record: pb.JournalRecord) -> bytes:
    """Return the hash by which a state identifies its newest batch."""
    return hashlib.sha256(record.SerializeToString(deterministic=True)).digest()


async def _skipped(log: ShardLog, start: ShardState) -> frozenset[int]:
    """Return offsets of commands that the processor never saw."""
    found: set[int] = set()
    chunks: Chunks
    async with aclosing(log.dead_letters(start.now_ms)) as chunks:
        async for chunk in chunks:
            for record in chunk:
                try:
                    letter = DeadLetter.FromString(record.value or b"")
                except DecodeError:
                    continue  # it is not of the router, which writes dead letters that can be read
                origin = (letter.origin_topic, letter.origin_partition, letter.refused_by)
                if origin == (COMMANDS, start.shard, SPEC.name) and letter.reason in _UNHANDLED:
                    found.add(letter.origin_offset)
    return frozenset(found)


def _count(report: ShardReport, step: _Step, *, inside: bool) -> None:
    if not inside:
        report.before_window += 1
        return
    if not report.batches:
        report.from_ms = step.journal.now_ms
    report.to_ms = step.journal.now_ms
    report.batches += 1
    report.commands += len(step.commands)
    report.effects += step.journal.effects
    report.takeovers += step.took_over


async def _locate(
    log: ShardLog,
    fold: Fold,
    step: _Step,
    rerun: Rerun,
    journal: AsyncIterator[tuple[int, pb.JournalRecord]],
    before: list[Send],
) -> Located:
    """Find the effect in which a batch differs from its hash."""
    if rerun.failure:
        return Located(rerun.failure)
    record = step.journal
    following = await anext(journal, None)
    after_ms = following[1].now_ms if following is not None else None
    batch = Batch.of(record, step.before_ms, after_ms, step.commands, rerun.sends, fold.engines)
    return await locate(log, batch, rerun.sends, record.effects, before)


def _difference(report: ShardReport, step: _Step, rerun: Rerun, found: Located) -> Difference:
    record = step.journal
    return Difference(
        report.before_window + report.batches + 1,
        step.offset,
        record.lane_epoch,
        step.took_over,
        record.now_ms,
        record.first_offset,
        record.next_offset,
        (record.effects, rerun.effects),
        found,
    )
