"""A lane's gauges of its ownership, with a real group: the alert on partitions without an owner uses these two gauges."""

from __future__ import annotations

import pytest

from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics, PrometheusLaneMetrics
from tests.contract.lane.real import SPEC, Running, Watch, create_topics
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka]
PARTITIONS = 4


class Shown(Watch):
    """Passes ownership to Prometheus' gauges."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics = Metrics()
        self._lane = PrometheusLaneMetrics(self.metrics)

    def rebalanced(self, lane: str, partitions: int) -> None:
        self._lane.rebalanced(lane, partitions)

    def input_partitions(self, lane: str, partitions: int) -> None:
        self._lane.input_partitions(lane, partitions)

    def lost(self, lane: str, partition: int) -> None:
        self._lane.lost(lane, partition)

    @property
    def owned(self) -> float | None:
        return self.metrics.value("chapar_lane_partitions", SPEC.name)

    @property
    def there(self) -> float | None:
        return self.metrics.value("chapar_lane_input_partitions", SPEC.name)


@pytest.fixture
async def topics(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await create_topics(settings, PARTITIONS)
    return settings


async def test_ownership_is_shown_as_it_moves_and_ends(topics: KafkaSettings) -> None:
    """A single process owns all partitions; a second one shares them; one that has left shows none, although its process still runs."""
    first, second = Shown(), Shown()
    async with Running(topics, first, client_id="ledger@one:1") as one:
        await one.live()
        assert (first.owned, first.there) == (PARTITIONS, PARTITIONS)
        async with Running(topics, second, client_id="ledger@two:1") as two:
            await two.until(lambda: (first.owned or 0) + (second.owned or 0) == PARTITIONS == second.there, "shared")
            assert first.owned == second.owned == PARTITIONS / 2
        assert (second.owned, second.there) == (0, PARTITIONS)
        await one.until(lambda: first.owned == PARTITIONS, "the first has everything again")
    assert (first.owned, first.there) == (0, PARTITIONS)
