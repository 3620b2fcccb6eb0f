"""A member of a group whose topic is deleted and created again: it leaves out no record of the new one. Real Kafka only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition

from services.chassis.kafka.clients import group_consumer
from services.chassis.kafka.consumer import GroupConsumer
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import Record
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import create_topics, eventually, recreate_topic
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]

PARTITIONS = 2


@pytest.fixture
async def topics(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await create_topics(settings, PARTITIONS)
    return settings


@asynccontextmanager
async def running(kafka: KafkaSettings, found: list[bytes]) -> AsyncIterator[GroupConsumer]:
    """Run a member that notes the values of its records."""

    async def note(records: list[Record]) -> None:
        found.extend(record.value or b"" for record in records)

    member = GroupConsumer(
        kafka, group="readers", topics=(OUT,), handler=note, client_id="reader", poison=Poison("reader", Metrics())
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(member.run())
        yield member
        member.stop()


async def feed(kafka: KafkaSettings, word: bytes, count: int) -> set[bytes]:
    """Write this number of records to each partition; return their values."""
    values = set()
    async with DurableProducer(kafka, client_id="feeder") as feeder:
        for partition in range(PARTITIONS):
            for number in range(count):
                values.add(value := b"%s-%d-%d" % (word, partition, number))
                await feeder.publish(OUT, b"k", value, partition=partition)
    return values


async def committed(kafka: KafkaSettings, offset: int | None = None, text: str = "") -> int:
    """Return the sum of the group's offsets; with an offset, commit it for each partition first."""
    places = [TopicPartition(kafka.topic_prefix + OUT, partition) for partition in range(PARTITIONS)]
    consumer = group_consumer(
        kafka,
        group="readers",
        client_id="test",
        session_timeout_ms=6000,
        heartbeat_interval_ms=500,
        rebalance_timeout_ms=6000,
        on_unknown_position="none",
    )
    await consumer.start()
    try:
        consumer.assign(places)
        if offset is not None:
            await consumer.commit(dict.fromkeys(places, (offset, text)))
        return sum([await consumer.committed(place) or 0 for place in places])
    finally:
        await consumer.stop()


async def test_a_topic_that_is_replaced_under_a_member_is_read_from_its_beginning(topics: KafkaSettings) -> None:
    """The new log is longer than the old one before the member looks at it."""
    found: list[bytes] = []
    async with running(topics, found):
        old = await feed(topics, b"old", 3)
        await eventually(lambda: set(found) == old, "the old records")
        await recreate_topic(topics, OUT, PARTITIONS)
        new = await feed(topics, b"new", 10)
        await eventually(lambda: set(found) == old | new, "every new record")


async def test_a_member_compares_the_id_before_it_commits_offsets(
    topics: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic can be replaced between two fetches, without an error or a rebalance: only its id shows it."""
    found: list[bytes] = []
    async with running(topics, found):
        old = await feed(topics, b"old", 2)
        await eventually(lambda: set(found) == old, "the old records")

        async def another(client: object, *names: str) -> list[str]:
            return ["another" for _ in names]

        monkeypatch.setattr("services.chassis.kafka.group_topics.ids_of", another)
        new: set[bytes] = set()

        async def again() -> bool:  # the ids are compared at most once a second
            new.update(await feed(topics, b"new-%d" % len(new), 1))
            return all(found.count(value) >= 2 for value in old)

        await eventually(again, "all of the topic again")
        await eventually(lambda: set(found) == old | new, "and what came later")
    assert await committed(topics) == len(old | new)


@pytest.mark.parametrize(("text", "first"), [("chapar-topic-1 0123456789abcdef", 0), ("", 5)])
async def test_offsets_of_another_topic_are_not_used(topics: KafkaSettings, text: str, first: int) -> None:
    """The group's offsets say whose they are; those of a version without texts are used."""
    values = await feed(topics, b"x", 8)
    await committed(topics, 5, text)
    found: list[bytes] = []
    async with running(topics, found):
        wanted = {value for value in values if int(value.split(b"-")[2]) >= first}
        await eventually(lambda: set(found) >= wanted, "the records")
    assert set(found) == wanted
    assert await committed(topics) == 8 * PARTITIONS
