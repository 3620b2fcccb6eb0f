"""A batch that wrote nothing costs no transaction. Real Kafka only."""

from dataclasses import replace

import pytest

from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.real import SPEC, TUNING, Running, Watch, create_topics
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

LOOKS = 40
ENOUGH = 30
"""Records without a trace after which the position is written."""


@pytest.fixture
async def topics(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    return settings


async def look(kafka: KafkaSettings, lane: Running, times: int) -> None:
    """Feed records that write nothing, one by one, until each is handled."""
    async with DurableProducer(kafka, client_id="feeder") as feeder:
        for _ in range(times):
            seen = lane.watch.records
            await feeder.publish(SPEC.input, b"k", b"look")
            await lane.until(lambda seen=seen: lane.watch.records > seen, "handled")  # type: ignore[misc] # a bound loop variable


async def test_no_transaction_is_made(topics: KafkaSettings) -> None:
    """The lane commits nothing, and shows no lag and nothing that waits."""
    points: list[str] = []
    async with Running(topics, Watch(), replace(TUNING, fault=points.append)) as lane:
        await lane.live()
        points.clear()
        await look(topics, lane, LOOKS)
        assert points == []
        assert lane.ledger().looked == LOOKS
        await lane.until(lambda: lane.watch.lags.get(0) == 0, "no lag is shown")
        (live,) = lane.runner._membership.lanes.values()  # type: ignore[union-attr] # the lane itself, for its gauges
        assert live.committed_offset == LOOKS
        assert live.oldest_uncommitted == 0


async def test_the_next_owner_handles_them_again(topics: KafkaSettings) -> None:
    """To the same end: they wrote nothing. The next batch that writes takes the position with it."""
    async with Running(topics, Watch()) as lane:
        await lane.live()
        await look(topics, lane, 5)
    async with Running(topics, Watch()) as lane, DurableProducer(topics, client_id="feeder") as feeder:
        await lane.live()
        await lane.until(lambda: lane.ledger().looked == 5, "handled again")
        await feeder.publish(SPEC.input, b"k", b"add")
        await lane.until(lambda: lane.replies == ["k=1"], "written")
    async with Running(topics, Watch()) as lane, DurableProducer(topics, client_id="feeder") as feeder:
        await lane.live()
        await feeder.publish(SPEC.input, b"k", b"add")
        await lane.until(lambda: lane.replies == ["k=2"], "written")
        assert lane.ledger().looked == 0


async def test_after_many_of_them_the_position_is_written(topics: KafkaSettings) -> None:
    """A restart never repeats more than that."""
    points: list[str] = []
    tuning = replace(TUNING, unwritten_records=ENOUGH, fault=points.append)
    async with Running(topics, Watch(), tuning) as lane:
        await lane.live()
        points.clear()
        await look(topics, lane, LOOKS)
        assert points.count("after_commit") == 1
    async with Running(topics, Watch(), tuning) as lane:
        await lane.live()
        await lane.until(lambda: lane.ledger().looked == LOOKS - ENOUGH, "only the rest is handled again")
