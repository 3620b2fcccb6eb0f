"""`LaneRunner`: runs all partitions of one lane that the group assigns to this process."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from services.chassis.build import version
from services.chassis.health import EVERY_PARTITION
from services.chassis.kafka import deadletters
from services.chassis.kafka.clients import BrokerError, KafkaAccess
from services.chassis.kafka.contract import (
    NO_METRICS,
    DeadLetterEncoder,
    LaneMetrics,
    LaneSpec,
    LaneTuning,
    Processor,
    ProcessorFactory,
)
from services.chassis.kafka.heap import Heap
from services.chassis.kafka.lane_dependencies import LaneDependencies
from services.chassis.kafka.membership import Membership
from services.chassis.kafka.records import Record
from services.chassis.kafka.writer import Writer
from services.chassis.reasons import Reason

log = logging.getLogger(__name__)

_DEFAULT_TUNING: Final = LaneTuning()


def _nobody(*_: object) -> None:
    """Do nothing: the default callback."""


class LaneRunner:
    """Joins the group, owns the assigned partitions, and recovers by itself from broker failures.

    `client_id` is returned by `groups.owners` for each partition of this process: use the address to call, e.g. `router@10.0.0.7:7001`.
    `prepare(records)` is awaited before the processor sees a batch or entries of its changelog, so that their dependencies are available. If it
    raises an OSError, the lane treats it as the broker's absence.
    `on_owned(partition, processor)` and `on_lost(partition)` are called in this loop, when a partition is live and when it is no longer live.
    `on_restored(restored)` is called in this loop when `restored` has changed. `on_refused(reasons)` is called in it when the partitions have
    changed that this process refuses to take over: the reason of each (`witness`). `on_hanging(sentences)` is called in it when the
    partitions have changed that a transaction without an end holds back: what an operator should know of each (`hang_watch`).
    """

    def __init__(
        self,
        spec: LaneSpec,
        factory: ProcessorFactory,
        kafka: KafkaAccess,
        *,
        writer: Writer,
        clock: Callable[[], int],
        client_id: str | None = None,
        tuning: LaneTuning = _DEFAULT_TUNING,
        metrics: LaneMetrics = NO_METRICS,
        on_owned: Callable[[int, Processor], None] | None = None,
        on_lost: Callable[[int], None] | None = None,
        on_restored: Callable[[bool], None] | None = None,
        on_refused: Callable[[Mapping[int, str]], None] | None = None,
        on_hanging: Callable[[Mapping[int, str]], None] | None = None,
        dead_letter: DeadLetterEncoder = deadletters.encode,
        heap: Heap | None = None,
        prepare: Callable[[Sequence[Record]], Awaitable[None]] | None = None,
    ) -> None:
        """`writer`: the process's one committer. `heap`: its controller of the garbage collector. All its lanes share both."""
        self._parts = LaneDependencies(
            spec=spec,
            factory=factory,
            kafka=kafka,
            writer=writer,
            client_id=client_id or f"{spec.name}@{socket.gethostname()}",
            clock=clock,
            tuning=tuning,
            metrics=metrics,
            encode_dead_letter=dead_letter,
            restores=asyncio.Semaphore(tuning.restore_concurrency),
            heap=heap or Heap(),
            on_owned=self._owned,
            on_lost=self._lost,
            on_assignment=self._note_restored,
            prepare=prepare,
        )
        self._on_owned = on_owned or _nobody
        self._on_lost = on_lost or _nobody
        self._on_restored = on_restored or _nobody
        self._on_refused = on_refused or _nobody
        self._on_hanging = on_hanging or _nobody
        self._refused: Mapping[int, str] = {}
        self._hanging: Mapping[int, str] = {}
        self._restored = asyncio.Event()
        self._stop = asyncio.Event()
        self._membership: Membership | None = None
        self._held: dict[int, bool] = {}

    async def run(self) -> None:
        """Run until `stop` or cancellation; then finish or abort the current batch, commit offsets and leave the group.

        Raises ProcessorFailed, when continuing would be wrong. If the broker is away, wait for it.
        """
        tuning = self._parts.tuning
        failure: list[Exception] = []
        async with asyncio.TaskGroup() as tasks:
            memberships = tasks.create_task(self._memberships(failure))
            try:
                await asyncio.wait({memberships})
            except asyncio.CancelledError:
                self.stop()
                await asyncio.wait({memberships}, timeout=tuning.stop_timeout + 4 * tuning.close_timeout)
                raise
        if failure:
            raise failure[0]

    def stop(self) -> None:
        """Make `run` return, gracefully."""
        self._stop.set()
        if self._membership is not None:
            self._membership.over.set()

    def processor(self, partition: int) -> Processor | None:
        """Return the live processor of a partition, for reads in the same event loop; None unless owned and restored.

        It may be ahead of the log by the batches that are not yet committed.
        """
        lane = self._membership.lanes.get(partition) if self._membership is not None else None
        return lane.processor if lane is not None else None

    @property
    def partitions(self) -> tuple[int, ...]:
        """Return the partitions that are live here."""
        if self._membership is None:
            return ()
        return tuple(p for p, lane in sorted(self._membership.lanes.items()) if lane.processor is not None)

    @property
    def restored(self) -> bool:
        """Whether the group has assigned partitions (perhaps none) and each of them is live or refused, and not all refused: for the
        startup probe."""
        return self._restored.is_set()

    async def wait_restored(self) -> None:
        """Return when `restored` is true. Waits without a limit, also when `run` has ended."""
        await self._restored.wait()

    def pause(self, partition: int) -> None:
        """Apply back-pressure: take no more records of this partition until `resume`; timers still run. It survives rebalances."""
        self._hold(partition, held=True)

    def resume(self, partition: int) -> None:
        """End `pause`."""
        self._hold(partition, held=False)

    def _hold(self, partition: int, *, held: bool) -> None:
        self._held[partition] = held
        lane = self._membership.lanes.get(partition) if self._membership is not None else None
        if lane is not None:
            lane.hold(held=held)

    def _owned(self, partition: int, processor: Processor) -> None:
        self._on_owned(partition, processor)
        self._note_restored()

    def _lost(self, partition: int) -> None:
        self._on_lost(partition)
        self._note_restored()

    def _note_restored(self) -> None:
        refused = self._membership.refused if self._membership is not None else {}
        if refused != self._refused:
            self._refused = refused
            self._on_refused(refused)
        hanging = self._membership.hanging if self._membership is not None else {}
        if hanging != self._hanging:
            self._hanging = hanging
            self._on_hanging(hanging)
        restored = self._membership is not None and self._membership.restored
        if restored == self._restored.is_set():
            return
        if restored:
            self._restored.set()
        else:
            self._restored.clear()
        self._on_restored(restored)

    async def _stay_out(self) -> None:
        """Join no group, so that the partitions remain with replicas that read the changelog. Return when the runner is stopped."""
        spec = self._parts.spec
        log.critical(
            "lane %s does not start: %s: format %d of %s was finalised, and version %s reads formats up to %d."
            " Start a version that reads it (docs/upgrading.md)",
            spec.name,
            Reason.CHANGELOG_FORMAT,
            self._parts.finalised,
            spec.changelog_topic,
            version(),
            spec.formats.newest,
        )
        self._parts.metrics.refused(spec.name, EVERY_PARTITION, Reason.CHANGELOG_FORMAT)
        self._on_refused({EVERY_PARTITION: Reason.CHANGELOG_FORMAT})
        await self._stop.wait()

    async def _memberships(self, failure: list[Exception]) -> None:
        """Run one membership after another until stopped: a consumer that failed is replaced."""
        tuning = self._parts.tuning
        wait = tuning.retry_least
        while not self._stop.is_set():
            if self._parts.finalised > self._parts.spec.formats.newest:
                await self._stay_out()
                return
            self._membership = membership = Membership(self._parts, self._held)
            await membership.run()
            ended = membership.failure
            if ended is not None and not isinstance(ended, (BrokerError, OSError)):
                failure.append(ended)
                return
            if self._stop.is_set():
                return
            log.warning("lane %s: the group's consumer failed (%r); joining again", self._parts.spec.name, ended)
            try:
                async with asyncio.timeout(wait):
                    await self._stop.wait()
            except TimeoutError:
                wait = min(2 * wait, tuning.retry_most)
