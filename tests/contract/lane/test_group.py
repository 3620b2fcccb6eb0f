"""A lane's membership in its group: storms of rebalances, and static members. Real Kafka only."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient

from services.chassis.kafka.contract import LaneTuning
from services.chassis.kafka.member import as_member
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lane_settings import LaneSettings
from tests.contract.lane.real import TUNING, Running, Watch, create_topics, eventually
from tests.contract.lane.test_ownership import PARTITIONS, counts, exact, feed
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

STORMS = 6
KEYS = 20


@pytest.fixture
async def topics(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await create_topics(settings, PARTITIONS)
    return settings


async def test_a_storm_of_rebalances_fences_nobody(topics: KafkaSettings) -> None:
    """A third member comes and goes while records flow: each partition is released and taken many times, and each record counts once."""
    watches = [Watch() for _ in range(2 + STORMS)]

    def handled() -> int:
        return sum(watch.records for watch in watches)

    async with (
        DurableProducer(topics, client_id="feeder") as feeder,
        Running(topics, watches[0], client_id="ledger@a:1") as one,
        Running(topics, watches[1], client_id="ledger@b:1") as two,
        asyncio.TaskGroup() as tasks,
    ):
        await eventually(lambda: len(one.runner.partitions) + len(two.runner.partitions) == PARTITIONS, "shared")
        for number, watch in enumerate(watches[2:], 1):
            feeding = tasks.create_task(feed(feeder, 10 * KEYS, keys=KEYS))
            async with Running(topics, watch, client_id=f"ledger@c:{number}") as third:
                await third.until(lambda third=third: len(third.runner.partitions) > 0, "it has its share")  # type: ignore[misc] # a bound loop variable
            await feeding
        await eventually(lambda: handled() >= 10 * KEYS * STORMS, "all handled", 60)
    assert exact(await counts(topics), keys=KEYS, each=10 * STORMS)
    assert [watch.fences for watch in watches] == [0] * len(watches)
    assert watches[0].rebalances > STORMS


async def test_a_static_member_that_comes_back_moves_nothing(topics: KafkaSettings) -> None:
    """A restart within the session time-out: the other member keeps its partitions and notices nothing."""

    def member(name: str) -> LaneTuning:
        return replace(TUNING, group_instance=name, session_timeout_ms=20_000)

    first, second, again = Watch(), Watch(), Watch()
    async with Running(topics, second, member("two")) as two:
        one = Running(topics, first, member("one"))
        await one.__aenter__()
        await eventually(lambda: len(one.runner.partitions) == len(two.runner.partitions) == PARTITIONS // 2, "shared")
        before = second.rebalances
        kept = two.runner.partitions
        await one.__aexit__()
        async with Running(topics, again, member("one")) as back, DurableProducer(topics, client_id="feeder") as feeder:
            await back.until(lambda: len(back.runner.partitions) == PARTITIONS // 2, "its partitions are back")
            await feed(feeder, KEYS, keys=KEYS)
            await eventually(lambda: again.records + second.records == KEYS, "both work")
            assert two.runner.partitions == kept
            assert second.rebalances == before
            assert second.fences == 0


async def test_an_idle_lane_commits_no_offsets(topics: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group's offsets are for those who watch the lag: they are written when they have changed."""
    commits = 0
    send = AIOKafkaClient.send

    async def counted(self: AIOKafkaClient, node_id: Any, request: Any, **more: Any) -> Any:
        nonlocal commits
        commits += type(request).__name__.startswith("OffsetCommit")
        return await send(self, node_id, request, **more)

    async with Running(topics, Watch()) as lane, DurableProducer(topics, client_id="feeder") as feeder:
        await lane.live()
        await feed(feeder, KEYS, keys=KEYS)
        await lane.until(lambda: not any(lane.watch.lags.values()) and lane.watch.records == KEYS, "handled")
        await asyncio.sleep(3 * TUNING.offsets_interval)  # the last change is written
        monkeypatch.setattr(AIOKafkaClient, "send", counted)
        await asyncio.sleep(10 * TUNING.offsets_interval)  # nothing is to be seen, so there is no condition
        assert commits == 0
        seen = lane.watch.records
        await feed(feeder, 1)
        await lane.until(lambda: lane.watch.records > seen and commits > 0, "the change is written")


def test_settings_reach_the_group() -> None:
    """At least six heartbeats a session, and four a second; the name of a static member is that of the lane and the instance."""
    moving = as_member(LaneSettings(session_timeout_ms=3_000), TUNING, "router", "router-0")
    assert (moving.session_timeout_ms, moving.heartbeat_interval_ms, moving.group_instance) == (3_000, 250, None)
    assert as_member(LaneSettings(session_timeout_ms=1_200), TUNING, "router", "").heartbeat_interval_ms == 200
    staying = as_member(LaneSettings(static_membership=True), TUNING, "router", "router-0")
    assert (staying.session_timeout_ms, staying.group_instance) == (6_000, "router-router-0")
    assert replace(staying, group_instance=None, session_timeout_ms=0, heartbeat_interval_ms=0) == replace(
        TUNING, session_timeout_ms=0, heartbeat_interval_ms=0
    )
