"""A client whose start is cancelled leaves no connection open (services.chassis.kafka.abandoned)."""

import asyncio
import gc
import inspect
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiokafka.client
import pytest

from services.chassis.kafka.clients import (
    admin_client,
    close_consumer,
    discard_producer,
    idempotent_producer,
    plain_reader,
    prepare_library,
)
from services.chassis.kafka_settings import KafkaSettings
from tests.fixtures.broker import KafkaUnderTest, plain_settings

pytestmark = pytest.mark.kafka


@dataclass
class Silent:
    """A proxy to the broker that passes the first request and its response, and holds back all later responses."""

    address: str = ""
    asked_again: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def silent_after_one_answer(bootstrap: str) -> AsyncIterator[Silent]:
    """The first request asks for the version; the client's next request waits until it is cancelled."""
    way = Silent()
    host, _, port = bootstrap.rpartition(":")

    async def frame(reader: asyncio.StreamReader) -> bytes:
        head = await reader.readexactly(4)
        return head + await reader.readexactly(int.from_bytes(head, "big"))

    async def serve(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        broker, questions = await asyncio.open_connection(host, int(port))
        try:
            questions.write(await frame(client))
            answers.write(await frame(broker))
            await frame(client)
            way.asked_again.set()
            await client.read()  # until the client closes
        except asyncio.IncompleteReadError:
            return  # the client is gone
        finally:
            questions.close()
            answers.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        way.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield way


async def reader(kafka: KafkaSettings) -> None:
    """Start and close as `tail` does."""
    consumer = plain_reader(kafka, client_id="cancelled")
    try:
        await consumer.start()
    finally:
        await close_consumer(consumer, 1.0)


async def producer(kafka: KafkaSettings) -> None:
    """Start and close as `DurableProducer` does."""
    made = idempotent_producer(
        kafka, client_id="cancelled", request_timeout_ms=5_000, max_record_bytes=1 << 20, linger_ms=0
    )
    try:
        await made.start()
    finally:
        await discard_producer(made, 1.0)


async def admin(kafka: KafkaSettings) -> None:
    async with admin_client(kafka, client_id="cancelled"):
        pass


@pytest.mark.parametrize("start", [reader, producer, admin])
async def test_a_cancelled_start_leaves_no_connection_open(kafka: KafkaUnderTest, start: Callable[..., Any]) -> None:
    """The start is cancelled while the client waits for the response of the first server."""
    async with silent_after_one_answer(kafka.bootstrap) as way:
        starting = asyncio.create_task(start(plain_settings(way.address, "abandoned.")))
        async with asyncio.timeout(20):
            await way.asked_again.wait()
        with warnings.catch_warnings(record=True) as unclosed:
            warnings.simplefilter("always")
            starting.cancel()
            await asyncio.wait({starting})
            assert starting.cancelled()
            del starting
            gc.collect()
        assert [str(each.message) for each in unclosed if "Unclosed" in str(each.message)] == []


def test_the_names_still_exist_and_the_first_connection_is_the_one_without_a_callback() -> None:
    """If a new version of aiokafka connects in another way, this test fails."""
    prepare_library()
    prepare_library()
    bootstrap = aiokafka.client.AIOKafkaClient.bootstrap
    assert not hasattr(bootstrap.__wrapped__, "__wrapped__"), "wrapped twice"
    assert "create_conn(" in inspect.getsource(bootstrap.__wrapped__)
    assert "on_close" not in inspect.getsource(bootstrap.__wrapped__)
    assert "on_close=" in inspect.getsource(aiokafka.client.AIOKafkaClient._get_conn)
