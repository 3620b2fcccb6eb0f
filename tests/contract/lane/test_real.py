"""The real lane keeps the contract, on a real broker."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.lane.harness import RealHarness
from tests.contract.lane.suite import LaneContract
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]


@pytest.fixture
async def lane(kafka: KafkaUnderTest, prefix: str) -> AsyncIterator[RealHarness]:
    async with RealHarness(kafka.settings(prefix)) as harness:
        yield harness


class TestRealLane(LaneContract):
    """The contract suite on a real broker; see `suite`."""
