"""An idle watcher asks the broker rarely, and gets a record at once all the same."""

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient

from services.chassis.config_reader import ConfigReader
from services.chassis.kafka.clients import (
    LONE_FETCH_WAIT_MS,
    QUIET_FETCH_WAIT_MS,
    WATCHER_FETCH_WAIT_MS,
    Patience,
    assign,
    close_consumer,
    plain_reader,
)
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.tail import tail
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import create_topics
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]
IDLE_S = 3.0


@pytest.mark.parametrize(
    ("partitions", "patient", "wait_ms"),
    [(1, False, LONE_FETCH_WAIT_MS), (2, False, WATCHER_FETCH_WAIT_MS), (2, True, QUIET_FETCH_WAIT_MS)],
)
async def test_an_idle_watcher_fetches_rarely_and_gets_a_record_at_once(
    kafka: KafkaUnderTest, prefix: str, monkeypatch: pytest.MonkeyPatch, partitions: int, patient: bool, wait_ms: int
) -> None:
    """About one fetch in the wait; a record that is written meanwhile ends the wait."""
    settings = kafka.settings(prefix)
    await create_topics(settings, partitions)
    fetches = 0
    send = AIOKafkaClient.send

    async def counted(self: AIOKafkaClient, node_id: Any, request: Any, **more: Any) -> Any:
        nonlocal fetches
        fetches += type(request).__name__.startswith("Fetch")
        return await send(self, node_id, request, **more)

    monkeypatch.setattr(AIOKafkaClient, "send", counted)
    consumer: AIOKafkaConsumer = plain_reader(settings, client_id="watcher", fetch_wait_ms=WATCHER_FETCH_WAIT_MS)
    async with DurableProducer(settings, client_id="edge") as edge:
        await edge.publish(OUT, b"k", b"first")
        await consumer.start()
        try:
            assign(consumer, [TopicPartition(settings.topic_prefix + OUT, number) for number in range(partitions)])
            patience = Patience(consumer)
            assert await consumer.getmany(timeout_ms=10_000)
            if patient:
                nothing = await consumer.getmany(timeout_ms=2 * WATCHER_FETCH_WAIT_MS)
                assert not nothing
                patience.note(nothing)
            before = fetches
            assert not await consumer.getmany(timeout_ms=int(IDLE_S * 1000))
            assert IDLE_S * 1000 // wait_ms - 2 <= fetches - before <= IDLE_S * 1000 / wait_ms + 3
            reading = asyncio.ensure_future(consumer.getmany(timeout_ms=10_000))
            await asyncio.wait({reading}, timeout=0.1)
            began = time.monotonic()
            await edge.publish(OUT, b"k", b"second")
            (found,) = (await reading).values()
            assert [message.value for message in found] == [b"second"]
            assert time.monotonic() - began < wait_ms / 1000
            if patient:
                patience.note(found)
                before = fetches
                assert not await consumer.getmany(timeout_ms=int(IDLE_S * 1000))
                assert fetches - before >= IDLE_S * 1000 // WATCHER_FETCH_WAIT_MS - 2
        finally:
            await close_consumer(consumer, 3.0)


async def test_an_empty_topic_is_read_to_its_end_without_waiting_for_a_record(
    kafka: KafkaUnderTest, prefix: str
) -> None:
    """The question for the end must not wait behind a fetch on the same connection: every start of a service would."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    began, done = time.monotonic(), asyncio.Event()
    reader = ConfigReader[str](settings, lambda _key, value: value.decode(), topic=OUT)

    async def tailing() -> None:
        async with aclosing(tail(settings, OUT, caught_up=done.set)) as records:
            async for _ in records:
                pass

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(reader.run()), tasks.create_task(tailing())]
        await reader.first()
        await done.wait()
        for each in running:
            each.cancel()
    assert time.monotonic() - began < LONE_FETCH_WAIT_MS / 1000
