"""The real lane under the `Ledger`, on a real broker, for the contract suite."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.chassis.clock import system_clock
from services.chassis.kafka.changelog_formats import NOTHING_FINALISED, Finalised
from services.chassis.kafka.contract import LaneSpec, LaneTuning, NoMetrics
from services.chassis.kafka.records import Record
from services.chassis.kafka.runner import LaneRunner
from services.chassis.kafka.tail import tail
from services.chassis.kafka.writer import Writer, WriterTuning
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import LIMIT, OUT, Ledger

SPEC = LaneSpec("ledger", "ledger.in.v1", "ledger.state.v1", "ledger")
TUNING = LaneTuning(
    max_output_bytes=LIMIT,
    session_timeout_ms=6000,
    heartbeat_interval_ms=500,
    offsets_interval=0.1,
    retry_least=0.05,
    retry_most=0.5,
    confirm_loss=0.1,
)


async def eventually(condition: Callable[[], bool | Awaitable[bool]], what: str, within: float = 30.0) -> None:
    """Wait for a condition; fail the test with `what` when it does not come true in time."""
    until = time.monotonic() + within
    while True:
        held = condition()
        if isinstance(held, Awaitable):
            held = await held
        if held:
            return
        assert time.monotonic() < until, f"not within {within} s: {what}"
        await asyncio.sleep(0.01)


async def create_topics(
    kafka: KafkaSettings, partitions: int, *, plain: tuple[str, ...] = (SPEC.input, OUT), replicas: int = 1
) -> None:
    """Create the input, outputs, changelog and dead letters of one test."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        compact = {"cleanup.policy": "compact"}
        await admin.create_topics(
            [
                *(NewTopic(kafka.topic_prefix + name, partitions, replicas) for name in plain),
                NewTopic(kafka.topic_prefix + SPEC.changelog_topic, partitions, replicas, topic_configs=compact),
                NewTopic(kafka.topic_prefix + "deadletters.v1", 1, replicas),
            ]
        )
    finally:
        await admin.close()


async def recreate_topic(kafka: KafkaSettings, topic: str, partitions: int, **configs: str) -> None:
    """Delete a topic (logical name) and create it again, empty."""
    name = kafka.topic_prefix + topic
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        await admin.delete_topics([name])

        async def recreated() -> bool:
            answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
            return all(error == 0 for _, error, *_ in answer.topic_errors)

        await eventually(recreated, "the topic is recreated")
    finally:
        await admin.close()


async def read_all(kafka: KafkaSettings, topic: str) -> list[Record]:
    """Return all records that are committed in a topic now."""
    found: list[Record] = []
    done = asyncio.Event()

    async def collect() -> None:
        async with aclosing(tail(kafka, topic, caught_up=done.set)) as records:
            async for record in records:
                found.append(record)  # noqa: PERF401 - the iteration never ends by itself

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(collect())
        async with asyncio.timeout(20):
            await done.wait()
        reading.cancel()
    return found


class Watch(NoMetrics):
    """Metrics that a test checks."""

    def __init__(self) -> None:
        self.records = 0
        self.tail = 0
        """How many of the newest handled records wrote nothing: the next owner reads them again."""
        self.batches: list[int] = []
        self.rebalances = 0
        self.fences = 0
        self.aborts: list[str] = []
        self.dead: list[str] = []
        self.entries: list[int] = []
        self.refusals: dict[int, str] = {}
        self.lags: dict[int, int] = {}
        self.progress: list[tuple[int, int]] = []

    def lag(self, lane: str, partition: int, records: int, seconds: float) -> None:
        self.lags[partition] = records

    def restore_progress(self, lane: str, partition: int, read: int, total: int) -> None:
        self.progress.append((read, total))

    def restored(self, lane: str, partition: int, entries: int, seconds: float) -> None:
        self.entries.append(entries)

    def committed(self, lane: str, partition: int, records: int, seconds: float) -> None:
        self.records += records
        self.tail = 0
        self.batches.append(records)

    def unwritten(self, lane: str, partition: int, records: int) -> None:
        self.records += records
        self.tail += records

    def rebalanced(self, lane: str, partitions: int) -> None:
        self.rebalances += 1

    def aborted(self, lane: str, partition: int, reason: str) -> None:
        self.aborts.append(reason)

    def fenced(self, lane: str, partition: int) -> None:
        self.fences += 1

    def dead_letter(self, lane: str, partition: int, reason: str) -> None:
        self.dead.append(reason)

    def refused(self, lane: str, partition: int, reason: str | None) -> None:
        self.refusals.pop(partition, None)
        if reason is not None:
            self.refusals[partition] = reason


@dataclass
class Running:
    """One runner in its own task. Leaving stops it gracefully, or raises its exception."""

    kafka: KafkaSettings
    watch: Watch
    tuning: LaneTuning = TUNING
    clock: Callable[[], int] = system_clock
    client_id: str = "ledger@test:1"
    reply: Callable[[str], None] | None = None
    prepare: Callable[[Sequence[Record]], Awaitable[None]] | None = None
    kind: type[Ledger] = Ledger
    spec: LaneSpec = SPEC
    formats: Finalised = NOTHING_FINALISED
    replies: list[str] = field(default_factory=list)
    restored_changes: list[bool] = field(default_factory=list)
    """What the runner reported to `on_restored`, in order."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """What the runner reported to `on_refused` last."""
    hanging: Mapping[int, str] = field(default_factory=dict)
    """What the runner reported to `on_hanging` last."""
    runner: LaneRunner = field(init=False)
    writer: Writer = field(init=False)
    task: "asyncio.Task[None]" = field(init=False)

    async def __aenter__(self) -> Self:
        tuning = WriterTuning(fault=self.tuning.fault, formats=self.formats)
        self.writer = Writer(self.kafka, service="ledger", tuning=tuning)
        self.runner = LaneRunner(
            self.spec,
            lambda context: self.kind(context, self.reply or self.replies.append),
            self.kafka,
            writer=self.writer,
            clock=self.clock,
            client_id=self.client_id,
            tuning=self.tuning,
            metrics=self.watch,
            prepare=self.prepare,
            on_restored=self.restored_changes.append,
            on_refused=lambda reasons: setattr(self, "refused", reasons),
            on_hanging=lambda sentences: setattr(self, "hanging", sentences),
        )
        self.task = asyncio.create_task(self._run())
        return self

    async def _run(self) -> None:
        async with self.writer:
            await self.runner.run()

    async def __aexit__(self, *_: object) -> None:
        self.runner.stop()
        await asyncio.wait({self.task}, timeout=30)
        if not self.task.done():
            self.task.cancel()
            await asyncio.wait({self.task})
            raise AssertionError("the runner did not stop")
        await self.task

    async def until(self, condition: Callable[[], bool], what: str, within: float = 30.0) -> None:
        """Like `eventually`, but raise the runner's exception at once."""

        def or_ended() -> bool:
            if self.task.done():
                self.task.result()
                raise AssertionError("the runner ended by itself")
            return condition()

        await eventually(or_ended, what, within)

    async def live(self) -> None:
        await self.until(lambda: self.runner.restored, "restored")

    def ledger(self, partition: int = 0) -> Ledger:
        processor = self.runner.processor(partition)
        assert isinstance(processor, Ledger)
        return processor
