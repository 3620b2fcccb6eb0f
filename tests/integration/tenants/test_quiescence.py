"""The condition "all processing is complete" waits for a group that is behind, and names it."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.chassis.cluster_topics import apply
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import Record
from tests.integration.tenants.quiescence import quiet

pytestmark = pytest.mark.kafka
TOPIC = "inbound.v1"


async def test_a_group_that_is_behind_is_waited_for_and_named(kafka: Any, prefix: str) -> None:
    """Processing is complete only when the group has committed the whole log."""
    settings = kafka.settings(prefix)
    await apply(settings)
    async with DurableProducer(settings, client_id="test") as producer:
        partition, offset = await producer.publish(TOPIC, b"k", b"v")
    written = Record(TOPIC, partition, offset, 0, b"k", b"v", ())

    async def read() -> Sequence[Record]:
        return [written]

    group = f"{settings.topic_prefix}a-group"
    consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **settings.client_options())
    consumer.subscribe([settings.topic_prefix + TOPIC])
    await consumer.start()
    try:
        with pytest.raises(TimeoutError, match="a-group"):
            await quiet(settings, read, within_s=5)
        await consumer.commit({TopicPartition(settings.topic_prefix + TOPIC, partition): offset + 1})
        assert list(await quiet(settings, read, within_s=20)) == [written]
    finally:
        await consumer.stop()


async def test_a_log_that_grows_is_not_quiet(kafka: Any, prefix: str) -> None:
    """While the log grows, processing is not complete, even if every group has committed the earlier records."""
    settings = kafka.settings(prefix)
    await apply(settings)
    grown: list[Record] = []

    async def read() -> Sequence[Record]:
        grown.append(Record(TOPIC, 0, len(grown), 0, b"k", b"v", ()))
        return list(grown)

    consumer = AIOKafkaConsumer(
        group_id=f"{settings.topic_prefix}a-group", enable_auto_commit=False, **settings.client_options()
    )
    consumer.subscribe([settings.topic_prefix + TOPIC])
    await consumer.start()
    try:
        await consumer.commit({TopicPartition(settings.topic_prefix + TOPIC, 0): 10**6})
        with pytest.raises(TimeoutError):
            await quiet(settings, read, within_s=5)
    finally:
        await consumer.stop()
