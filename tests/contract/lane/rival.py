"""A rival of a lane: another process that claims a partition although the group has given it to another process."""

import asyncio
from contextlib import ExitStack
from typing import Self

from aiokafka import TopicPartition

from services.chassis.clock import system_clock
from services.chassis.kafka import deadletters
from services.chassis.kafka.changelog import POSITION_KEY, Position
from services.chassis.kafka.clients import plain_reader
from services.chassis.kafka.contract import NO_METRICS
from services.chassis.kafka.heap import Heap
from services.chassis.kafka.lane_dependencies import Input, LaneDependencies
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.ownership import Owned, Ownership
from services.chassis.kafka.transactions.contents import Place, Sealed
from services.chassis.kafka.witness import InputState
from services.chassis.kafka.writer import Part, Writer
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import Ledger
from tests.contract.lane.real import SPEC, TUNING


class Deceived:
    """Implements `Input` of a member that believes it owns every partition."""

    def seek(self, partition: int, offset: int) -> None: ...
    def pause(self, partition: int) -> None: ...
    def resume(self, partition: int) -> None: ...

    async def look(self, partition: int) -> InputState:
        return InputState("", 0, 1 << 40)

    async def still_ours(self, partition: int) -> bool:
        return True


async def move_beyond_the_end(kafka: KafkaSettings, partition: int = 0) -> None:
    """Write a position one record beyond the end of the input: what a lane sees that has lost the input's tail."""
    async with Rival(kafka, partition) as rival:
        places = [TopicPartition(kafka.topic_prefix + SPEC.input, partition)]
        reader = plain_reader(kafka, client_id="rival")
        await reader.start()
        try:
            end = (await reader.end_offsets(places))[places[0]]
        finally:
            await reader.stop()
        position = Position(end + 1, system_clock(), rival.epoch)
        await rival.submit(BatchOutbox(1, 1000), **{POSITION_KEY.decode(): position.encode()}).durable


class Rival:
    """Takes a partition over on entering, and never releases it."""

    def __init__(self, kafka: KafkaSettings, partition: int = 0, source: Input | None = None) -> None:
        self.writer = Writer(kafka, service="rival")
        parts = LaneDependencies(
            spec=SPEC,
            factory=lambda context: Ledger(context, lambda _: None),
            kafka=kafka,
            writer=self.writer,
            client_id="rival",
            clock=system_clock,
            tuning=TUNING,
            metrics=NO_METRICS,
            encode_dead_letter=deadletters.encode,
            restores=asyncio.Semaphore(1),
            heap=Heap(),
            on_owned=lambda partition, processor: None,
            on_lost=lambda partition: None,
            on_assignment=lambda: None,
        )
        self.ownership = Ownership(parts, partition, source or Deceived())
        self._owned: Owned | None = None

    async def __aenter__(self) -> Self:
        with ExitStack() as held:
            self._owned = await self.ownership.take(held, lambda: None)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.writer.__aexit__()

    @property
    def epoch(self) -> int:
        """The number of this ownership."""
        assert self._owned is not None
        return self._owned.position.epoch

    def submit_to(self, partition: int, **changes: bytes) -> Part:
        """Write to another partition of the changelog, as the owner of that one would."""
        return self._submit(BatchOutbox(1, 1000), (self.ownership.place[0], partition), changes)

    def submit(self, outbox: BatchOutbox, **changes: bytes) -> Part:
        """Write as an owner would."""
        return self._submit(outbox, self.ownership.place, changes)

    def _submit(self, outbox: BatchOutbox, place: Place, changes: dict[str, bytes]) -> Part:
        assert self._owned is not None
        entries: dict[bytes, bytes | None] = {key.encode(): value for key, value in changes.items()}
        return self._owned.incarnation.submit(Sealed(outbox, entries, system_clock(), place))
