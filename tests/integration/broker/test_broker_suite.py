"""The behaviour that the project expects of Kafka, the same with every provider (see tests/fixtures/broker.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, ProducerFenced

from services.chassis.kafka_settings import KafkaSettings
from tests.fixtures.broker import KafkaUnderTest

pytestmark = pytest.mark.kafka

WAIT_S = 30.0


@pytest.fixture
def settings(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    return kafka.settings(prefix)


def declared(name: str, partitions: int, config: dict[str, str] | None = None) -> Any:
    """Return a topic with the cluster's default number of replicas; aiokafka accepts -1 only with an (empty) assignment."""
    return NewTopic(name, partitions, -1, replica_assignments={}, topic_configs=config)


@asynccontextmanager
async def admin_of(settings: KafkaSettings) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def topic(settings: KafkaSettings, name: str, **config: str) -> AsyncIterator[str]:
    """Create a topic of one partition and delete it afterwards: a given cluster belongs to other people."""
    full = settings.topic_prefix + name
    async with admin_of(settings) as admin:
        answer = await admin.create_topics([declared(full, 1, config)])
        assert [error[1] for error in answer.topic_errors] == [0]
        await wait_visible(admin, full, 1)
        try:
            yield full
        finally:
            await admin.delete_topics([full])


@asynccontextmanager
async def producer_of(settings: KafkaSettings, transactional_id: str | None = None) -> AsyncIterator[Any]:
    name = None if transactional_id is None else settings.topic_prefix + transactional_id
    producer = AIOKafkaProducer(**settings.client_options(), transactional_id=name)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def wait_visible(admin: Any, name: str, partitions: int) -> None:
    """Wait until the broker knows the topic: the controller answers a moment before the broker learns of it."""
    async with asyncio.timeout(WAIT_S):
        while True:
            (described,) = await admin.describe_topics([name])
            if len(described["partitions"]) == partitions:
                return
            await asyncio.sleep(0.02)


async def end_of(settings: KafkaSettings, partition: TopicPartition, isolation: str) -> int:
    """Return the offset after the last record that a reader of this isolation may see now."""
    consumer = AIOKafkaConsumer(**settings.client_options(), isolation_level=isolation, enable_auto_commit=False)
    await consumer.start()
    try:
        return int((await consumer.end_offsets([partition]))[partition])
    finally:
        await consumer.stop()


async def read(settings: KafkaSettings, name: str, isolation: str, *, while_open: bool = False) -> list[bytes | None]:
    """Return every value in the topic that a reader of this isolation may see.

    A commit returns before its markers are written, so by default this reads to the very end, past the markers of all transactions.
    `while_open`: some transaction does not end, so read only as far as this isolation allows now.
    """
    partition = TopicPartition(name, 0)
    end = await end_of(settings, partition, isolation if while_open else "read_uncommitted")
    consumer = AIOKafkaConsumer(
        **settings.client_options(), isolation_level=isolation, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        values: list[bytes | None] = []
        async with asyncio.timeout(WAIT_S):
            # Commit markers occupy offsets too, and only the position passes them.
            while await consumer.position(partition) < end:
                batches = await consumer.getmany(partition, timeout_ms=100)
                values += [record.value for records in batches.values() for record in records]
        return values
    finally:
        await consumer.stop()


async def test_a_topic_has_the_partitions_that_it_was_created_with(settings: KafkaSettings) -> None:
    """Created topics exist, with their partition count, and a second creation is refused with "already exists" (code 36)."""
    name = settings.topic_prefix + "three"
    async with admin_of(settings) as admin:
        await admin.create_topics([declared(name, 3)])
        try:
            await wait_visible(admin, name, 3)
            again = await admin.create_topics([declared(name, 3)])
            assert [error[1] for error in again.topic_errors] == [36]
        finally:
            await admin.delete_topics([name])


async def test_a_committed_transaction_is_read_and_an_aborted_one_is_not(settings: KafkaSettings) -> None:
    """read_committed sees exactly the committed records; read_uncommitted sees the aborted records too."""
    async with topic(settings, "transactions") as name, producer_of(settings, "writer") as producer:
        async with producer.transaction():
            await producer.send_and_wait(name, b"kept")
        await producer.begin_transaction()
        await producer.send_and_wait(name, b"dropped")
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait(name, b"kept too")

        assert await read(settings, name, "read_committed") == [b"kept", b"kept too"]
        assert await read(settings, name, "read_uncommitted") == [b"kept", b"dropped", b"kept too"]


async def test_an_open_transaction_holds_back_later_records(settings: KafkaSettings) -> None:
    """Until a transaction ends, read_committed readers stop before its first record, even for records of other producers."""
    async with (
        topic(settings, "held") as name,
        producer_of(settings, "holder") as holder,
        producer_of(settings) as other,
    ):
        await holder.begin_transaction()
        await holder.send_and_wait(name, b"undecided")
        await other.send_and_wait(name, b"plain")
        assert await read(settings, name, "read_committed", while_open=True) == []
        await holder.commit_transaction()
        assert await read(settings, name, "read_committed") == [b"undecided", b"plain"]


async def test_a_zombie_is_fenced_by_its_successor(settings: KafkaSettings) -> None:
    """A producer that starts with the same transactional id ends the predecessor's open transaction; the predecessor can commit nothing more."""
    async with topic(settings, "fenced") as name:
        zombie = AIOKafkaProducer(**settings.client_options(), transactional_id=settings.topic_prefix + "one")
        await zombie.start()
        try:
            await zombie.begin_transaction()
            await zombie.send_and_wait(name, b"zombie's")
            async with producer_of(settings, "one") as successor:
                async with successor.transaction():
                    await successor.send_and_wait(name, b"successor's")
                with pytest.raises(ProducerFenced):
                    await zombie.commit_transaction()
            assert await read(settings, name, "read_committed") == [b"successor's"]
        finally:
            await zombie.stop()


async def test_a_compacted_topic_refuses_a_record_without_a_key(settings: KafkaSettings) -> None:
    """The sender gets an error (code 87, which aiokafka does not know by name); records with a key are accepted, including tombstones."""
    async with (
        topic(settings, "compacted", **{"cleanup.policy": "compact"}) as name,
        producer_of(settings) as producer,
    ):
        with pytest.raises(KafkaError):
            await producer.send_and_wait(name, b"no key")
        await producer.send_and_wait(name, b"with a key", key=b"k")
        await producer.send_and_wait(name, None, key=b"k")
        assert await read(settings, name, "read_committed") == [b"with a key", None]
