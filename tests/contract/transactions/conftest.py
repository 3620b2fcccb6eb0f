"""A cluster's connections and topics for transactions without lanes."""

from collections.abc import AsyncIterator

import pytest

from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.real import create_topics
from tests.fixtures.broker import KafkaUnderTest


@pytest.fixture
async def settings(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    found = kafka.settings(prefix)
    await create_topics(found, 2)
    return found


@pytest.fixture
async def cluster(settings: KafkaSettings) -> AsyncIterator[Cluster]:
    async with Cluster(settings, client_id="test", request_timeout_ms=5000, close_timeout=3.0) as cluster:
        yield cluster
