"""Configuration as a service reads it: the newest valid value of each key."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.chassis.config_reader import ConfigReader
from services.chassis.errors import ChaparError
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from tests.fixtures.broker import KafkaUnderTest

pytestmark = pytest.mark.kafka


def decode(_key: str, raw: bytes) -> int:
    """Return a number; any other value is a mistake in the configuration."""
    return int(raw)


class Watch:
    """Records changes."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int | None]] = []

    def __call__(self, key: str, value: int | None) -> None:
        self.seen.append((key, value))


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - polled, as the reader's users do
            await asyncio.sleep(0.01)


@asynccontextmanager
async def topic(settings: KafkaSettings, partitions: int = 1) -> AsyncIterator[Any]:
    """Create the configuration topic; yield a function that writes to it."""
    name = settings.topic_prefix + "config.v1"
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    producer = AIOKafkaProducer(**settings.client_options())
    await producer.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs={"cleanup.policy": "compact"})])

        async def put(key: str, value: bytes | None) -> None:
            await producer.send_and_wait(name, value, key.encode())

        yield put
    finally:
        await producer.stop()
        await admin.delete_topics([name])
        await admin.close()


@asynccontextmanager
async def reading(reader: ConfigReader[int]) -> AsyncIterator[ConfigReader[int]]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reader.run())
        try:
            yield reader
        finally:
            task.cancel()


async def test_the_newest_value_of_each_key_is_there_at_first(kafka: KafkaUnderTest, prefix: str) -> None:
    """`first` returns when all records written before have been read, from all partitions."""
    settings = kafka.settings(prefix)
    async with topic(settings, partitions=3) as put:
        for key, value in (("acme", b"1"), ("beta", b"2"), ("acme", b"3"), ("gone", b"9"), ("gone", None)):
            await put(key, value)
        async with reading(ConfigReader(settings, decode)) as reader:
            assert dict(await reader.first(20)) == {"acme": 3, "beta": 2}


async def test_an_empty_topic_is_read_at_once(kafka: KafkaUnderTest, prefix: str) -> None:
    """A new installation starts without configuration."""
    settings = kafka.settings(prefix)
    async with topic(settings), reading(ConfigReader(settings, decode)) as reader:
        assert dict(await reader.first(20)) == {}


async def test_the_first_configuration_ends_the_wait_for_one(kafka: KafkaUnderTest, prefix: str) -> None:
    """`configured` returns when a value has been applied; one that is refused configures nothing."""
    settings = kafka.settings(prefix)
    async with topic(settings) as put, reading(ConfigReader(settings, decode)) as reader, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(reader.configured())
        await put("acme", b"nonsense")
        await until(lambda: "acme" in reader.refusals)
        assert not waiting.done()
        await put("beta", b"2")
        async with asyncio.timeout(10):
            await waiting
        assert dict(reader.values) == {"beta": 2}


async def test_changes_arrive_while_running_and_invalid_values_change_nothing(
    kafka: KafkaUnderTest, prefix: str
) -> None:
    """A value that cannot be decoded is refused and named; the next valid one clears the refusal."""
    settings, watch, metrics = kafka.settings(prefix), Watch(), Metrics()
    async with topic(settings) as put:
        await put("acme", b"1")
        shown = ConfigReader(settings, decode, on_change=watch, metrics=metrics, version=lambda value: value)
        async with reading(shown) as reader:
            await reader.first(20)
            assert metrics.value("chapar_config_refused") == 0
            await put("acme", b"nonsense")
            await until(lambda: "acme" in reader.refusals)
            assert reader.get("acme") == 1
            assert reader.refusals["acme"].offset > reader.entries["acme"].offset
            assert metrics.value("chapar_config_refused") == 1
            assert metrics.value("chapar_config_version") == 1
            await put("acme", b"2")
            await until(lambda: reader.get("acme") == 2)
            assert dict(reader.refusals) == {}
            assert metrics.value("chapar_config_refused") == 0
            assert metrics.value("chapar_config_version") == 2
            await put("acme", None)
            await until(lambda: reader.get("acme") is None)
    assert watch.seen == [("acme", 1), ("acme", 2), ("acme", None)]
    assert metrics.value("chapar_config_changes_total", "refused") == 1
    assert metrics.value("chapar_config_changes_total", "taken") == 2


async def test_a_reader_waits_for_a_topic_that_is_made_later(kafka: KafkaUnderTest, prefix: str) -> None:
    """Services may start before `chapar topics apply`; the error names the missing topic meanwhile."""
    settings = kafka.settings(prefix)
    async with reading(ConfigReader(settings, decode)) as reader:
        with pytest.raises(ChaparError) as early:
            await reader.first(0.2)
        assert early.value.reason == "CONFIG_UNREAD"
        async with topic(settings) as put:
            await put("acme", b"7")
            await until(lambda: reader.get("acme") == 7)
