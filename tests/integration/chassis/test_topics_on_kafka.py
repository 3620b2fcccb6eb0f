"""The table of topics, applied to a real broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.chassis.cluster_topics import ChangeKind, apply, diff
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import TOPICS
from tests.fixtures.broker import KafkaUnderTest

pytestmark = pytest.mark.kafka


@asynccontextmanager
async def admin_of(settings: KafkaSettings) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        yield admin
        # Nothing of this test stays on the shared broker.
        await admin.delete_topics([t for t in await admin.list_topics() if t.startswith(settings.topic_prefix)])
    finally:
        await admin.close()


async def test_applying_makes_every_topic_and_a_second_time_nothing(kafka: KafkaUnderTest, prefix: str) -> None:
    """Idempotent: `apply` makes each change that `diff` announces, once."""
    settings = kafka.settings(prefix)
    async with admin_of(settings) as admin:
        announced = await diff(settings)
        assert {change.kind for change in announced} == {ChangeKind.CREATE}
        assert await apply(settings) == announced
        assert {t for t in await admin.list_topics() if t.startswith(prefix)} == {prefix + name for name in TOPICS}
        assert await diff(settings) == []
        assert await apply(settings) == []


async def test_a_changed_setting_is_put_back_and_foreign_ones_stay(kafka: KafkaUnderTest, prefix: str) -> None:
    """The table decides the retention; an operator set the largest message."""
    settings = kafka.settings(prefix)
    name = prefix + "inbound.v1"
    async with admin_of(settings) as admin:
        await apply(settings)
        own = {"retention.ms": "1000", "max.message.bytes": "2000000"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=own)])
        while not (found := await diff(settings)):
            pass  # an accepted change becomes visible a little later
        assert [(change.kind, change.topic) for change in found] == [(ChangeKind.CONFIGURE, name)]
        assert "retention.ms=604800000 (was 1000)" in found[0].detail
        await apply(settings)
        assert await diff(settings) == []
        response = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        values = {entry[0]: entry[1] for entry in response[0].resources[0][4]}
        assert values["max.message.bytes"] == "2000000"


async def test_another_partition_count_is_a_conflict_and_changes_nothing(kafka: KafkaUnderTest, prefix: str) -> None:
    """Keys would move, so people decide. The changelogs that follow the input are named too."""
    settings = kafka.settings(prefix)
    async with admin_of(settings) as admin:
        await apply(settings, partitions={"inbound.v1": 2})
        conflicts = [c.topic for c in await diff(settings) if c.kind is ChangeKind.CONFLICT]
        assert conflicts == [prefix + "inbound.v1", prefix + "ingest-intake.state.v1"]
        with pytest.raises(ChaparError) as refused:
            await apply(settings)
        assert refused.value.reason == "TOPIC_CONFLICT"
        described = await admin.describe_topics([prefix + "inbound.v1"])
        assert len(described[0]["partitions"]) == 2


async def test_more_replicas_than_brokers_is_refused(kafka: KafkaUnderTest, prefix: str) -> None:
    """The refusal comes before any topic is made."""
    settings = kafka.settings(prefix)
    async with admin_of(settings) as admin:
        with pytest.raises(ChaparError) as refused:
            await apply(settings, replication=99)
        assert refused.value.reason == "TOO_FEW_BROKERS"
        assert not [t for t in await admin.list_topics() if t.startswith(prefix)]


async def test_no_broker_is_one_sentence() -> None:
    """The error is UNAVAILABLE, with the address."""
    with pytest.raises(ChaparError) as refused:
        await diff(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    assert refused.value.kind is ErrorKind.UNAVAILABLE
    assert "127.0.0.1:1" in refused.value.message
