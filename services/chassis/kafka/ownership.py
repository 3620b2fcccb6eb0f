"""Takes one partition over, and gives it up: the steps that `claims` lists, with their numbers.

A lane that only has to restore (a replay, a bug) while its incarnation lives still holds its claim: it reads the changelog
up to its own last commit, and claims nothing again.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Final, NamedTuple, NoReturn

import msgspec

from services.chassis.build import version
from services.chassis.kafka import heap
from services.chassis.kafka.changelog import ChangelogReader, Position, Restored, changelog_reader
from services.chassis.kafka.changelog_codec import UnknownVersion
from services.chassis.kafka.claims import CLAIM_KEY, Claim, claim_id
from services.chassis.kafka.clients import BrokerError
from services.chassis.kafka.contract import LaneContext, Processor
from services.chassis.kafka.lane_dependencies import Input, LaneDependencies
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.records import Record
from services.chassis.kafka.transactions.contents import Contents, Sealed, TopicPartitions
from services.chassis.kafka.transactions.producer import TransactionalId, TransactionFailed
from services.chassis.kafka.witness import InputState, Loss, TakeoverRefused, Witness, last_epoch, loss_of
from services.chassis.kafka.writer import Incarnation
from services.chassis.reasons import Reason

log = logging.getLogger(__name__)

_RESTORE_SLICE: Final = 1000
_ASK_AGAIN_LEAST: Final = 0.05
_ASK_AGAIN_MOST: Final = 3.0
_LOOK_AGAIN: Final = 0.5
"""Seconds between two looks at the changelog of a partition that is refused."""


class Owned(NamedTuple):
    """A partition that is ours and restored."""

    incarnation: Incarnation
    processor: Processor
    position: Position
    entries: int
    """Entries of the changelog that were restored."""
    heap: heap.Ownership
    skips: tuple[int, ...] = ()
    """Offsets that an operator has decided to skip."""


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
        self._input = ""
        self._suspected: float | None = None
        self._read_to: int | None = None
        self._version = version()

    @property
    def place(self) -> tuple[str, int]:
        """The changelog: its physical topic name, and the partition."""
        return self._place

    def wrote(self, position: Position) -> None:
        """Note the position of a batch that is durable."""
        self._written = position

    @property
    def witness(self) -> Witness | None:
        """What the group should know about the last durable position; None as long as this process has not owned the partition."""
        position = self._written
        return None if position is None else Witness(self._input, position.epoch, position.offset)

    async def take(self, held: ExitStack, claiming: Callable[[], None]) -> Owned:
        """Take over and restore. `held` is left when nothing refers to the state any more. `claiming` is called when it is
        too late to leave without a release.

        Raises one of UNREACHABLE, TransactionFailed, or TakeoverRefused.
        """
        try:
            return await self._take(held, claiming)
        except UnknownVersion as unknown:
            # No claim says so: the version that wrote the entry must be able to go on.
            self._claim = None
            cluster = (await self._parts.writer.incarnation()).cluster
            self._read_to = await cluster.end_of(self._place, committed=True)
            detail = (
                f"{unknown}. This is version {self._version}: start the one that wrote the entry (docs/upgrading.md)"
            )
            raise TakeoverRefused(self._parts.spec.name, self._partition, Reason.CHANGELOG_FORMAT, detail) from unknown

    async def _take(self, held: ExitStack, claiming: Callable[[], None]) -> Owned:
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
            self._read_to = reader.read_to
            await self._complete(incarnation, reader.read_to)
        now = await self._source.look(self._partition)
        last, epoch = found.position, last_epoch(found.claim, found.position, now) + 1
        if (loss := loss_of(found, now)) is not None:
            await self._refuse(loss, found.claim, claimant, epoch)
        self._suspected = None
        position = self._position(last, now, epoch)
        processor = await self._processor(found, epoch)
        self._fault("before_claim")
        claiming()
        skips = tuple(each for each in found.claim.skips if each >= position.offset) if found.claim is not None else ()
        claim = msgspec.structs.replace(
            incarnation.claim(epoch),
            input=now.id,
            skips=skips,
            log=now.log,
            begin=found.begin,
            version=self._version,
            newest=self._parts.spec.formats.newest,
        )
        await self._write_claim(claimant, claim)  # 5
        self._incarnation, self._claim, self._input = incarnation, claim, now.id
        self._written = last
        self._fault("after_claim")
        return Owned(incarnation, processor, position, len(found.entries), pool, skips)

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
        now = await self._source.look(self._partition)
        if (loss := loss_of(found, now)) is not None:
            self._claim = None
            raise BrokerError(f"{self._place[0]}/{self._partition}: {loss.reason}: {loss.detail}")
        epoch = last_epoch(claim, found.position, now) + 1
        position = self._position(found.position, now, epoch)
        processor = await self._processor(found, epoch)
        return Owned(incarnation, processor, position, len(found.entries), pool, claim.skips)

    async def _complete(self, incarnation: Incarnation, read_to: int) -> None:
        """Raise BrokerError unless everything in the changelog was read. After the fences no transaction is open in it, unless one
        hangs: then what was read is a prefix, and the lane takes over again until someone has ended that transaction."""
        end = await incarnation.cluster.end_of(self._place, committed=False)
        if end > read_to:
            topic, partition = self._place
            raise BrokerError(
                f"{topic}/{partition} can be read to {read_to} of {end} only: a transaction is open in it"
            )

    async def _confirmed(self) -> None:
        """Wait until the group's coordinator says that the partition is ours. `PartitionLane.stop` cancels this."""
        wait = _ASK_AGAIN_LEAST
        while not await self._source.still_ours(self._partition):
            await asyncio.sleep(wait)
            wait = min(2 * wait, _ASK_AGAIN_MOST)

    @property
    def _claim_id(self) -> str:
        return claim_id(self._parts.kafka.topic_prefix, self._parts.spec.name, self._partition)

    async def _refuse(self, loss: Loss, claim: Claim | None, claimant: TransactionalId, epoch: int) -> NoReturn:
        """Raise TakeoverRefused; or BrokerError as long as the loss may be an old view of a broker, so that the lane looks again.

        The refusal is written into the changelog: the next owner must not go on only because the input has grown again.
        """
        if claim is None or not claim.refused:
            self._suspected = began = self._suspected or time.monotonic()
            if time.monotonic() - began < self._parts.tuning.confirm_loss:
                raise BrokerError(f"{loss.reason}: {loss.detail}; looking again")
            refusal = Claim("", 0, epoch, refused=loss.reason)
            if claim is not None:
                refusal = msgspec.structs.replace(claim.released(), epoch=epoch, refused=loss.reason)
            await self._write_claim(claimant, refusal)
            self._read_to = None
        self._suspected = None
        raise TakeoverRefused(self._parts.spec.name, self._partition, loss.reason, loss.detail)

    async def until_written(self) -> None:
        """Return when the changelog has grown since the last takeover read it. Raises one of UNREACHABLE, or TransactionFailed."""
        cluster = (await self._parts.writer.incarnation()).cluster
        while self._read_to is not None and await cluster.end_of(self._place, committed=True) <= self._read_to:  # noqa: ASYNC110 - the cluster sends no notification
            await asyncio.sleep(_LOOK_AGAIN)

    async def _write_claim(self, claimant: TransactionalId, claim: Claim) -> None:
        parts = self._parts
        contents = Contents(TopicPartitions(parts.kafka.topic_prefix), parts.writer.tuning.max_batch_bytes)
        outbox = BatchOutbox(claim.epoch, parts.tuning.max_output_bytes)
        contents.add(Sealed(outbox, {CLAIM_KEY: claim.encode()}, parts.clock(), self._place))
        contents.close()
        await claimant.append(contents.batches, parts.writer.tuning.append_timeout)
        await claimant.commit(parts.writer.tuning.commit_timeout)

    def _position(self, last: Position | None, now: InputState, epoch: int) -> Position:
        """Return where to begin."""
        begin = now.begin
        if last is None:
            return Position(begin, 0, epoch)
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
        processor = parts.factory(LaneContext(self._partition, epoch, parts.format))
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
