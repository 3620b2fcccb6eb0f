"""Leaders of partitions, asked by many lanes at the same time on new connections."""

import asyncio

import pytest
from aiokafka.errors import KafkaError

from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.real import SPEC

TOPICS = (SPEC.input, SPEC.changelog_topic)


@pytest.fixture
async def led(cluster: Cluster, settings: KafkaSettings) -> KafkaSettings:
    """Wait until the new topics have leaders."""
    async with asyncio.timeout(30):
        for topic in TOPICS:
            for partition in (0, 1):
                while not await _answers(cluster, (settings.topic_prefix + topic, partition)):  # noqa: ASYNC110 - brokers send no notification
                    await asyncio.sleep(0.05)
    return settings


async def _answers(cluster: Cluster, place: tuple[str, int]) -> bool:
    try:
        return await cluster.end_of(place, committed=True) == 0
    except KafkaError:  # the broker does not lead it yet
        return False


async def test_who_asks_while_another_question_is_under_way_gets_an_answer_too(led: KafkaSettings) -> None:
    """The lanes of a process take over together. The answer to the first question knows nothing of topics that were added after it
    was asked, and the client gives it to all who wait."""
    topics = [led.topic_prefix + topic for topic in TOPICS]
    for pause in range(20):
        async with Cluster(led, client_id="test", request_timeout_ms=5000, close_timeout=3.0) as cluster:

            async def asked(topic: str, partition: int, turns: int, cluster: Cluster = cluster) -> int | None:
                for _ in range(turns):
                    await asyncio.sleep(0)
                return await cluster.leader_of((topic, partition))

            found = await asyncio.gather(
                *(asked(topic, partition, place * pause) for place, topic in enumerate(topics) for partition in (0, 1))
            )
        assert None not in found


async def test_a_topic_that_is_not_there_has_no_leader(cluster: Cluster, settings: KafkaSettings) -> None:
    assert await cluster.leader_of((f"{settings.topic_prefix}nothing", 0)) is None


async def test_begin_and_end_of_an_empty_partition_are_the_same(cluster: Cluster, led: KafkaSettings) -> None:
    place = led.topic_prefix + SPEC.input, 1
    assert await cluster.begin_of(place) == await cluster.end_of(place, committed=True) == 0
