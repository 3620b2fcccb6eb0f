"""An idle watcher asks the broker rarely, and gets a record at once all the same."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient

from services.chassis.kafka.clients import WATCHER_FETCH_WAIT_MS, close_consumer, plain_reader
from services.chassis.kafka.producer import DurableProducer
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import create_topics
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]
IDLE_S = 3.0


async def test_an_idle_watcher_fetches_rarely_and_gets_a_record_at_once(
    kafka: KafkaUnderTest, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About one fetch in the wait; a record that is written meanwhile ends the wait."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
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
            consumer.assign([TopicPartition(settings.topic_prefix + OUT, partition) for partition in range(2)])
            assert await consumer.getmany(timeout_ms=10_000)
            before = fetches
            assert not await consumer.getmany(timeout_ms=int(IDLE_S * 1000))
            assert 2 <= fetches - before <= IDLE_S * 1000 / WATCHER_FETCH_WAIT_MS + 3
            reading = asyncio.ensure_future(consumer.getmany(timeout_ms=10_000))
            await asyncio.wait({reading}, timeout=WATCHER_FETCH_WAIT_MS / 5000)
            began = time.monotonic()
            await edge.publish(OUT, b"k", b"second")
            (found,) = (await reading).values()
            assert [message.value for message in found] == [b"second"]
            assert time.monotonic() - began < WATCHER_FETCH_WAIT_MS / 1000
        finally:
            await close_consumer(consumer, 3.0)
