"""A member of the analytics' group that the group leaves without partitions joins again, and counts; a spare member does not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from services.chassis.clock import system_clock
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics, PrometheusLaneMetrics
from services.feedback.adapters.analytics_assignment import AssignmentWatch
from services.feedback.adapters.analytics_faust import run_analytics
from tests.fixtures.broker import EmbeddedTestBroker, KafkaUnderTest
from tests.integration.feedback.conftest import topics_of
from tests.integration.feedback.test_analytics import expected, records, totals_until, write, writer

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]
LANE = "feedback-analytics"


@dataclass
class Seen:
    """What one member has reported: readiness with its reasons, and its metrics."""

    metrics: Metrics = field(default_factory=Metrics)
    said: list[tuple[bool, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, ready: bool, reason: str) -> None:
        self.said.append((ready, reason))
        self.changed.set()

    async def until(self, condition: Callable[[list[tuple[bool, str]]], bool]) -> None:
        """Until what was reported fulfils the condition."""
        async with asyncio.timeout(60):
            while not condition(self.said):
                self.changed.clear()
                await self.changed.wait()

    def partitions(self) -> float | None:
        """The gauge of owned partitions."""
        return self.metrics.value("chapar_lane_partitions", LANE)


@asynccontextmanager
async def analytics(kafka: KafkaSettings, empty_s: float = 1.0) -> AsyncIterator[Seen]:
    """A member in this process."""
    seen = Seen()
    metrics = PrometheusLaneMetrics(seen.metrics)
    member = asyncio.create_task(
        run_analytics(kafka, system_clock, say=seen.say, metrics=metrics, session_timeout_s=6.0, empty_s=empty_s)
    )
    try:
        yield seen
    finally:
        member.cancel()
        await asyncio.wait({member})
        assert member.cancelled(), member.exception()


async def test_a_topic_that_appears_after_the_member_has_joined_is_counted(kafka: KafkaUnderTest, prefix: str) -> None:
    """The group has assigned nothing, and would assign nothing for ever; the watch reports it and the member joins again."""
    settings, told = kafka.settings(prefix), records(20, seed=21)
    async with AsyncExitStack() as topics, analytics(settings) as seen:
        await seen.until(lambda said: (True, "") in said)
        await topics.enter_async_context(topics_of(settings))  # they go after the member
        await seen.until(lambda said: any(not ready for ready, _ in said))
        assert seen.said[-1] == (
            False,
            "2 partitions of feedback.responses.v1 have no owner, and this process has none",
        )
        await seen.until(lambda said: said[-1][0])
        assert seen.partitions() == 2
        async with writer(settings) as producer:
            await write(producer, settings, told)
        assert await totals_until(settings, expected(told), 60) == expected(told)
        assert seen.metrics.value("chapar_lane_input_partitions", LANE) == 2


async def test_a_broker_that_is_killed_while_the_member_joins_does_not_leave_it_without_partitions(
    own_kafka: EmbeddedTestBroker,
) -> None:
    """Killed as soon as Faust has started, which is before the group has assigned. The member counts after the broker is back."""
    settings, told = own_kafka.settings("fb."), records(20, seed=22)
    async with topics_of(settings):
        async with writer(settings) as producer:
            await write(producer, settings, told)
        async with analytics(settings) as seen:
            await seen.until(lambda said: (True, "") in said)
            own_kafka.kill()
            await asyncio.to_thread(own_kafka.start)
            assert await totals_until(settings, expected(told), 90) == expected(told)


@dataclass
class Member:
    """The member that a watch looks after, without Faust: it counts how often it is made to join."""

    joined: int = 0

    async def rejoin(self) -> None:
        self.joined += 1


async def test_a_spare_member_stays_ready_and_does_not_join_again(kafka: KafkaUnderTest, prefix: str) -> None:
    """Each partition has an owner, so an empty assignment is right, and a rebalance would only stop the owners. Once they are gone it joins."""
    settings, spare, seen = kafka.settings(prefix), Member(), Seen()
    watch = AssignmentWatch(
        settings,
        LANE,
        "feedback.responses.v1",
        assigned=lambda: 0,
        rejoin=spare.rejoin,
        say=seen.say,
        metrics=PrometheusLaneMetrics(seen.metrics),
        empty_s=0.0,
    )
    async with topics_of(settings):
        async with analytics(settings) as owner, asyncio.timeout(60):
            while owner.partitions() != 2:  # noqa: ASYNC110 - a gauge has no event
                await asyncio.sleep(0.1)
            assert await watch.look() == 0
            assert (spare.joined, seen.said) == (0, [])
        assert await watch.look() == 2
        assert (spare.joined, [ready for ready, _ in seen.said]) == (1, [False])
