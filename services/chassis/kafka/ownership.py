"""Takes one partition over, and gives it up: the steps that `claims` lists, with their numbers.

A lane that only has to restore (a replay, a bug) while its incarnation lives still holds its claim: it reads the changelog
up to its own last commit, and claims nothing again.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Final, NamedTuple

from services.chassis.kafka import heap
from services.chassis.kafka.changelog import ChangelogReader, Position, Restored, changelog_reader
from services.chassis.kafka.claims import CLAIM_KEY, Claim
from services.chassis.kafka.clients import BrokerError
from services.chassis.kafka.contract import LaneContext, PositionUnreachable, Processor
from services.chassis.kafka.lane_dependencies import Input, LaneDependencies
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.records import Record
from services.chassis.kafka.transactions.contents import Contents, Sealed, TopicPartitions
from services.chassis.kafka.transactions.producer import TransactionalId, TransactionFailed
from services.chassis.kafka.writer import Incarnation

log = logging.getLogger(__name__)

_RESTORE_SLICE: Final = 1000
_ASK_AGAIN_LEAST: Final = 0.05
_ASK_AGAIN_MOST: Final = 3.0


class Owned(NamedTuple):
    """A partition that is ours and restored."""

    incarnation: Incarnation
    processor: Processor
    position: Position
    entries: int
    """Entries of the changelog that were restored."""
    heap: heap.Ownership


class Ownership:
    """The claim of this process on one partition."""

    def __init__(self, parts: LaneDependencies, partition: int, source: Input) -> None:
        self._parts = parts
        self._partition = partition
        self._source = source
        self._place = parts.kafka.topic_prefix + parts.spec.changelog_topic, partition
        self._incarnation: Incarnation | None = None
        self._claim: Claim | None = None
        self._written: Position | None = None
        self._offset: int | None = None

    @property
    def place(self) -> tuple[str, int]:
        """The changelog: its physical topic name, and the partition."""
        return self._place

    def wrote(self, position: Position) -> None:
        """Note the position of a batch that is durable."""
        self._written = position
        self._offset = position.offset

    async def take(self, held: ExitStack, claiming: Callable[[], None]) -> Owned:
        """Take over and restore. `held` is left when nothing refers to the state any more. `claiming` is called when it is
        too late to leave without a release.

        Raises one of UNREACHABLE, TransactionFailed, or PositionUnreachable.
        """
        incarnation = await self._parts.writer.incarnation()
        if (claim := self._claim) is not None and self._incarnation is incarnation:
            return await self._restore_only(incarnation, claim, held, claiming)
        self._claim = None
        await self._confirmed()  # 1
        writer, tuning = self._parts.writer, self._parts.writer.tuning
        claimant = writer.transactional_id(incarnation.cluster, self._claim_id)
        await claimant.initialise(tuning.commit_timeout)  # 2
        self._fault("after_claim_init")
        pool = held.enter_context(self._parts.heap.ownership())
        async with self._parts.restores, self._reader() as reader:
            found = await reader.to_end()  # 3
            former = found.claim
            if former is not None and not former.free:
                if former.writer == incarnation.name:  # a lane of this process was cancelled, perhaps during a commit
                    await incarnation.settled(self._place)
                else:
                    await writer.fence(former, incarnation.cluster)
                    self._fault("after_fence")
                found = await reader.to_end()  # 4
        last = found.position
        epoch = max(former.epoch if former is not None else 0, last.epoch if last is not None else 0) + 1
        position = await self._position(last, epoch)
        processor = await self._processor(found, epoch)
        self._fault("before_claim")
        claiming()
        await self._write_claim(claimant, incarnation, epoch)  # 5
        self._written = last
        self._fault("after_claim")
        return Owned(incarnation, processor, position, len(found.entries), pool)

    async def release(self, now_ms: int) -> None:
        """Give the partition up after its last batch, if it is ours. Raises TransactionFailed."""
        incarnation, claim = self._incarnation, self._claim
        if incarnation is None or claim is None or incarnation.failure is not None:
            return
        self._fault("before_release")
        outbox = BatchOutbox(claim.epoch, self._parts.tuning.max_output_bytes)
        sealed = Sealed(outbox, {CLAIM_KEY: claim.released().encode()}, now_ms, self._place)
        try:
            await incarnation.submit(sealed).durable
        except TransactionFailed:  # because of a neighbour's records, as long as the writer lives
            await incarnation.submit(sealed, alone=True).durable
        self._claim = None
        if not await incarnation.cluster.until_visible(self._place, self._parts.tuning.release_timeout):
            log.warning("%s/%d: the next owner may have to fence this process", *self._place)

    # -- internal methods

    async def _restore_only(
        self, incarnation: Incarnation, claim: Claim, held: ExitStack, claiming: Callable[[], None]
    ) -> Owned:
        claiming()
        pool = held.enter_context(self._parts.heap.ownership())
        async with self._parts.restores, self._reader() as reader:
            found = await reader.until(self._written, claim, self._parts.writer.tuning.commit_timeout)
        if claim.ended_by(found.claim):
            self._claim = None
            raise BrokerError(f"{self._place[0]}/{self._partition}: another process has claimed it")
        epoch = max(claim.epoch, found.position.epoch if found.position is not None else 0) + 1
        position = await self._position(found.position, epoch)
        return Owned(incarnation, await self._processor(found, epoch), position, len(found.entries), pool)

    async def _confirmed(self) -> None:
        """Wait until the group's coordinator says that the partition is ours. `PartitionLane.stop` cancels this."""
        wait = _ASK_AGAIN_LEAST
        while not await self._source.still_ours(self._partition, self._offset):
            await asyncio.sleep(wait)
            wait = min(2 * wait, _ASK_AGAIN_MOST)

    @property
    def _claim_id(self) -> str:
        return f"{self._parts.kafka.topic_prefix}{self._parts.spec.name}-{self._partition}-claim"

    async def _write_claim(self, claimant: TransactionalId, incarnation: Incarnation, epoch: int) -> None:
        parts, claim = self._parts, incarnation.claim(epoch)
        contents = Contents(TopicPartitions(parts.kafka.topic_prefix), parts.writer.tuning.max_batch_bytes)
        outbox = BatchOutbox(epoch, parts.tuning.max_output_bytes)
        contents.add(Sealed(outbox, {CLAIM_KEY: claim.encode()}, parts.clock(), self._place))
        contents.close()
        await claimant.append(contents.batches, parts.writer.tuning.append_timeout)
        await claimant.commit(parts.writer.tuning.commit_timeout)
        self._incarnation, self._claim = incarnation, claim

    async def _position(self, last: Position | None, epoch: int) -> Position:
        """Return where to begin. Raises PositionUnreachable."""
        begin, end = await self._source.bounds(self._partition)
        if last is None:
            return Position(begin, 0, epoch)
        if last.offset > end:
            raise PositionUnreachable(
                f"lane {self._parts.spec.name}/{self._partition}: position {last.offset} is beyond the end {end} of its input;"
                " the topic was recreated or has lost data"
            )
        if last.offset < begin:
            log.error(
                "lane %s/%d: %d records were deleted before they were handled; continuing at %d",
                self._parts.spec.name,
                self._partition,
                begin - last.offset,
                begin,
            )
        return Position(max(last.offset, begin), last.now_ms, epoch)

    async def _processor(self, found: Restored, epoch: int) -> Processor:
        parts, topic = self._parts, self._parts.spec.changelog_topic
        processor = parts.factory(LaneContext(self._partition, epoch))
        entries = list(found.entries.items())
        for number, (key, value) in enumerate(entries):
            if number % _RESTORE_SLICE == 0:
                slice_ = entries[number : number + _RESTORE_SLICE]
                await parts.ready([Record(topic, self._partition, -1, 0, *entry, ()) for entry in slice_])
            processor.restore(key, value)
            if number % _RESTORE_SLICE == 0:
                await asyncio.sleep(0)
        self._fault("after_restore")
        return processor

    def _reader(self) -> AbstractAsyncContextManager[ChangelogReader]:
        parts = self._parts
        name, partition = parts.spec.name, self._partition
        return changelog_reader(
            parts.kafka,
            self._place[0],
            partition,
            client_id=f"{parts.client_id}-{partition}-restore",
            progress=lambda read, total: parts.metrics.restore_progress(name, partition, read, total),
            close_timeout=parts.tuning.close_timeout,
        )

    def _fault(self, point: str) -> None:
        if self._parts.tuning.fault is not None:
            self._parts.tuning.fault(point)
