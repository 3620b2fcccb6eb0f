"""A log with the five topics, and histories that read it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.chassis.health import Health
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.ingest.adapters.history.database import Database, database_url
from services.ingest.adapters.history.history import History
from services.ingest.adapters.history.mapping import TOPICS
from services.ingest.adapters.history.projection import Pace
from services.ingest.metrics import METRICS
from tests.fakes.privacy import MemoryKeys

WAIT_S = 60.0
PARTITIONS = 2


@asynccontextmanager
async def topics(kafka: KafkaSettings) -> AsyncIterator[None]:
    """Create the topics for the time of the block."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    names = [kafka.topic_prefix + topic for topic in TOPICS]
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        yield
        await admin.delete_topics(names)
    finally:
        await admin.close()


async def publish(kafka: KafkaSettings, log: Sequence[tuple[str, bytes, bytes]]) -> None:
    """Append (topic, key, value), in order."""
    producer = AIOKafkaProducer(**kafka.client_options(), linger_ms=5)
    await producer.start()
    try:
        sent = [await producer.send(kafka.topic_prefix + topic, value, key=key) for topic, key, value in log]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


class Running:
    """A running history with metrics of its own."""

    def __init__(self, history: History, metrics: Metrics, health: Health, task: asyncio.Task[None]) -> None:
        self.history = history
        self.metrics = metrics
        self.health = health
        self.task = task

    async def caught_up(self) -> None:
        """Wait until everything that the log held is written. Raises the projection's error."""
        waiting = asyncio.ensure_future(self.history.caught_up.wait())
        done, _ = await asyncio.wait({waiting, self.task}, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
        if self.task in done:
            await self.task
        if waiting not in done:
            waiting.cancel()
            raise AssertionError("the history did not catch up")

    async def written_or_done(self, records: int) -> None:
        """Wait until N records are written, or all that there are."""

        async def enough() -> bool:
            return self.count("written") >= records or self.history.caught_up.is_set()

        await eventually(enough)

    def count(self, outcome: str) -> float:
        """Return the number of projected records, of all topics."""
        return sum(
            sample.value
            for metric in self.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == "chapar_history_records_total" and sample.labels["outcome"] == outcome
        )


@asynccontextmanager
async def running(
    kafka: KafkaSettings,
    url: str,
    *,
    batch: int = 500,
    commit_s: float = 0.1,
    ready_after_s: float = 60,
    keys: MemoryKeys | None = None,
) -> AsyncIterator[Running]:
    """Yield a running history for the time of the block."""
    metrics, health = Metrics(METRICS), Health()
    database = Database(database_url(url, {}, "", ""))
    history = History(
        kafka,
        database,
        metrics,
        health.component("history"),
        client_id="history-test",
        keys=keys or MemoryKeys(),
        pace=Pace(fetch_s=0.02, commit_s=commit_s, commit_records=batch),
        ready_after_s=ready_after_s,
    )
    async with history:
        task = asyncio.ensure_future(history.run())
        try:
            yield Running(history, metrics, health, task)
        finally:
            task.cancel()
            await asyncio.wait({task})


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not await condition():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.05)
