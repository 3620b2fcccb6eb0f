"""A lane that believes it owns a partition, and does not; and the connections and states that it leaves. Real Kafka only."""

import asyncio
from collections.abc import Mapping

import pytest

from services.chassis.clock import system_clock
from services.chassis.kafka.changelog import POSITION_KEY, Position, read_changelog
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.contents import Place, RecordBatch
from services.chassis.kafka.transactions.producer import RecordsRefused, TransactionalId, TransactionFailed
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.real import SPEC, Running, Watch, create_topics
from tests.contract.lane.rival import Rival
from tests.contract.lane.test_ownership import counts
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]


@pytest.fixture
async def topics(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
    return settings


async def test_a_replay_after_a_rival_takes_over_again(topics: KafkaSettings) -> None:
    """A rival has claimed the partition, written and died; this process has not noticed. A replay finds records that are not
    its own: it takes over, instead of waiting for its own last commit to show."""
    watch = Watch()
    async with Running(topics, watch) as lane, DurableProducer(topics, client_id="feeder") as feeder:
        await lane.live()
        await feeder.publish(SPEC.input, b"k", b"add", partition=0)
        await lane.until(lambda: watch.records == 1, "handled")
        async with Rival(topics, partition=0) as rival:
            position = Position(1, system_clock(), rival.epoch, 1)
            await rival.submit(BatchOutbox(1, 1000), **{POSITION_KEY.decode(): position.encode()}).durable
        await feeder.publish(SPEC.input, b"k", b"half", partition=0)
        await feeder.publish(SPEC.input, b"k", b"add", partition=0)
        await lane.until(lambda: watch.records >= 3, "handled", within=20)
    assert (await counts(topics))["k"] == [1, 2]


async def test_a_release_survives_what_a_neighbour_wrote(
    topics: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction of a release is refused because of another lane's records: the release is written alone."""
    append, refusals = TransactionalId.append, 1

    async def refusing(producer: TransactionalId, batches: Mapping[Place, list[RecordBatch]], within: float) -> None:
        nonlocal refusals
        await append(producer, batches, within)
        if refusals and not producer.name.endswith("-claim"):
            refusals -= 1
            raise RecordsRefused(dict.fromkeys(batches, "by the test"))

    async with Rival(topics, 0) as owner:
        monkeypatch.setattr(TransactionalId, "append", refusing)
        await owner.ownership.release(0)
        place = topics.topic_prefix + SPEC.changelog_topic
        found = await read_changelog(topics, place, 0, client_id="test", progress=lambda *_: None, close_timeout=3.0)
        assert found.claim is not None
        assert found.claim.free


async def test_a_lost_connection_is_no_bug(topics: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka raises KeyError when a connection is closed between two of its steps: that is retried, in each kind of request."""
    async with Cluster(topics, client_id="test", request_timeout_ms=5000, close_timeout=3.0) as cluster:
        send, failures = cluster._client.send, 2

        async def failing(*request: object, **options: object) -> object:
            nonlocal failures
            if failures:
                failures -= 1
                raise KeyError((1, 0))
            return await send(*request, **options)

        monkeypatch.setattr(cluster._client, "send", failing)
        await TransactionalId(cluster, topics.topic_prefix + "id", timeout_ms=15_000).initialise(20)
        failures = 2
        assert await cluster.until_visible((topics.topic_prefix + SPEC.changelog_topic, 0), 20)


async def test_a_closed_cluster_opens_no_connection(topics: KafkaSettings) -> None:
    """A lane may still be taking over with the connections of an incarnation that another lane has replaced: it fails at once."""
    async with Cluster(topics, client_id="test", request_timeout_ms=5000, close_timeout=3.0) as cluster:
        pass
    late = TransactionalId(cluster, topics.topic_prefix + "id", timeout_ms=15_000)
    with pytest.raises(TransactionFailed, match="closed"):
        await asyncio.wait_for(late.initialise(20), 2)
    assert not any(connection.connected() for connection in cluster._client._conns.values())
