"""The parts of a partition's lane: the objects that all lanes of a runner share, and the requests to the group's consumer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.chassis.kafka.away import Away
from services.chassis.kafka.clients import KafkaAccess
from services.chassis.kafka.contract import (
    DeadLetterEncoder,
    LaneMetrics,
    LaneSpec,
    LaneTuning,
    Processor,
    ProcessorFactory,
)
from services.chassis.kafka.heap import Heap
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.kafka.progress import Feed
from services.chassis.kafka.records import Record
from services.chassis.kafka.witness import InputState
from services.chassis.kafka.writer import Writer


class Input(Protocol):
    """The requests of a lane to the owner of the group's consumer."""

    def seek(self, partition: int, offset: int) -> None: ...
    def pause(self, partition: int) -> None: ...
    def resume(self, partition: int) -> None: ...
    async def look(self, partition: int) -> InputState:
        """Return the input partition and what the group has committed for it, as the cluster shows them now."""

    async def still_ours(self, partition: int) -> bool:
        """Return whether the group's coordinator confirms that this member owns the partition in this generation."""


class Source(Input, Feed, Protocol):
    """What a lane needs of the group's consumer."""


@dataclass(frozen=True, slots=True)
class LaneDependencies:
    """The objects that every partition of a runner shares."""

    spec: LaneSpec
    factory: ProcessorFactory
    kafka: KafkaAccess
    writer: Writer
    client_id: str
    clock: Callable[[], int]
    tuning: LaneTuning
    metrics: LaneMetrics
    encode_dead_letter: DeadLetterEncoder
    restores: asyncio.Semaphore
    heap: Heap
    on_owned: Callable[[int, Processor], None]
    on_lost: Callable[[int], None]
    on_assignment: Callable[[], None]
    """Called when the group has assigned partitions, and when this member has given them up."""
    prepare: Callable[[Sequence[Record]], Awaitable[None]] | None = None

    @property
    def finalised(self) -> int:
        """The newest format in which the changelog may be written; 0: none was finalised."""
        return self.writer.tuning.formats.of(self.spec.changelog_topic)

    def format(self) -> int:
        """Return the format in which entries are to be written now."""
        return self.spec.formats.to_write(self.finalised)

    async def ready(self, records: Sequence[Record]) -> None:
        """Awaited before the processor sees these records or entries. An OSError means a dependency is away: the lane takes over again later."""
        if self.prepare is None:
            return
        try:
            await self.prepare(records)
        except BrokerUnavailable as error:
            raise Away(str(error)) from error
