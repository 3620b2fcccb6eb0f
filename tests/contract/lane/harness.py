"""Drives the real lane for the contract suite, and loses parts of it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from chapar.common.v1.dead_letter_pb2 import DeadLetter
from services.chassis.clock import system_clock
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import Headers
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import OUT, Ledger
from tests.contract.lane.real import SPEC, TUNING, Running, Watch, create_topics, read_all, recreate_topic
from tests.contract.lane.rival import move_beyond_the_end


class RealHarness:
    """Implements `suite.Harness`."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        self.replies: list[str] = []
        self.watch = Watch()
        self._fed = 0
        self._producer = DurableProducer(kafka, client_id="feeder")
        self._tuning = TUNING
        self._running = self._build(system_clock)

    def _build(self, clock: Callable[[], int]) -> Running:
        return Running(self.kafka, self.watch, self._tuning, clock, replies=self.replies)

    async def __aenter__(self) -> Self:
        await create_topics(self.kafka, 1)
        await self._running.__aenter__()
        await self._running.live()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.__aexit__()
        if not self._running.task.done():
            await self._running.__aexit__()

    async def feed(self, *commands: str, headers: Headers = ()) -> None:
        pairs = [command.split("=") for command in commands]
        self._fed += len(pairs)
        async with asyncio.TaskGroup() as tasks:
            for key, value in pairs:
                tasks.create_task(self._producer.publish(SPEC.input, key.encode(), value.encode(), headers))
        await self._running.until(lambda: self.watch.records >= self._fed, f"{self._fed} records committed")

    async def restart(self, *, clock_back_ms: int = 0, skip: tuple[int, ...] = ()) -> None:
        if not self._running.task.done():
            await self._running.__aexit__()
        self._fed += self.watch.tail  # in `records`, which counts these again
        self._tuning = replace(self._tuning, skip=frozenset((0, offset) for offset in skip))
        self._running = self._build(lambda: system_clock() - clock_back_ms)
        await self._running.__aenter__()
        await self._running.live()
        await self._running.until(lambda: self.watch.records >= self._fed, "the remaining records are committed")

    async def lose_changelog(self) -> None:
        await self._running.__aexit__()
        await recreate_topic(self.kafka, SPEC.changelog_topic, 1, **{"cleanup.policy": "compact"})

    async def recreate_input(self) -> None:
        await self._running.__aexit__()
        await recreate_topic(self.kafka, SPEC.input, 1)

    async def lose_tail(self) -> None:
        await self._running.__aexit__()
        await move_beyond_the_end(self.kafka)

    async def grow(self, records: int) -> None:
        for _ in range(records):
            await self._producer.publish(SPEC.input, b"new", b"add")

    async def refusal(self) -> str:
        self._running = self._build(system_clock)
        async with self._running as running:
            await running.until(lambda: 0 in self.watch.refusals, "the partition is refused")
            return self.watch.refusals[0]

    async def pass_time(self, ms: int) -> None:
        await asyncio.sleep(ms / 1000)  # the lane's timers use the machine's clock; no condition can be awaited

    async def outputs(self) -> list[tuple[str, str, Headers]]:
        records = await read_all(self.kafka, OUT)
        return [((r.key or b"").decode(), (r.value or b"").decode(), r.headers) for r in records if r.key != b"start"]

    async def starts(self) -> list[str]:
        return [(r.value or b"").decode() for r in await read_all(self.kafka, OUT) if r.key == b"start"]

    async def dead_letters(self) -> list[tuple[int, str]]:
        found = [DeadLetter.FromString(r.value or b"") for r in await read_all(self.kafka, "deadletters.v1")]
        return [(letter.origin_offset, letter.reason) for letter in found]

    def ledger(self) -> Ledger:
        return self._running.ledger()
