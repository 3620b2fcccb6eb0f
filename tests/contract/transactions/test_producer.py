"""One transactional id on real Kafka, by both protocols."""

import asyncio
import time
from collections.abc import Mapping

import pytest
from aiokafka.errors import KafkaError

from services.chassis.clock import system_clock
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.contents import Contents, Place, RecordBatch, Sealed, TopicPartitions
from services.chassis.kafka.transactions.producer import RecordsRefused, TransactionalId, TransactionFailed
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import SPEC, read_all

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

WITHIN = 20.0


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def v2(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def an_id(cluster: Cluster, settings: KafkaSettings, name: str, *, v2: bool) -> TransactionalId:
    return TransactionalId(cluster, settings.topic_prefix + name, timeout_ms=15_000, v2=v2)


def batches(settings: KafkaSettings, *values: bytes, size: int = 100_000) -> Mapping[Place, list[RecordBatch]]:
    """Return one record a value on partition 0 of the output, and one of the changelog."""
    partitions = TopicPartitions(settings.topic_prefix)
    partitions.set_count(OUT, 2)
    outbox = BatchOutbox(1, 2_000_000)
    for value in values:
        outbox.send(OUT, b"k", value, partition=0)
    contents = Contents(partitions, size)
    place = settings.topic_prefix + SPEC.changelog_topic, 0
    contents.add(Sealed(outbox, {b"state": b"%d" % len(values)}, system_clock(), place))
    contents.close()
    return contents.batches


async def seen(cluster: Cluster, settings: KafkaSettings) -> list[bytes | None]:
    """Return what readers see once everything is decided: the markers of a commit come a little after its response."""
    assert await cluster.until_visible((settings.topic_prefix + OUT, 0), WITHIN)
    return [record.value for record in await read_all(settings, OUT)]


async def test_the_cluster_has_version_2(cluster: Cluster) -> None:
    """The tests' brokers have finalised it: otherwise `v2` would test the older protocol twice."""
    assert cluster.v2


async def test_commits_and_aborts_follow_one_another(cluster: Cluster, settings: KafkaSettings, *, v2: bool) -> None:
    """Committed records are seen once, in order; aborted ones are not seen; the id goes on after both."""
    producer = an_id(cluster, settings, "id", v2=v2)
    await producer.initialise(WITHIN)
    for number in range(30):
        await producer.append(batches(settings, b"%d" % number), WITHIN)
        if number % 3 == 2:
            await producer.abort(WITHIN)
        else:
            await producer.commit(WITHIN)
    assert await seen(cluster, settings) == [b"%d" % number for number in range(30) if number % 3 != 2]


async def test_a_partition_may_have_many_batches_in_a_transaction(
    cluster: Cluster, settings: KafkaSettings, *, v2: bool
) -> None:
    """More than fits one record batch is sent as several, with following sequence numbers."""
    producer = an_id(cluster, settings, "id", v2=v2)
    await producer.initialise(WITHIN)
    values = [b"%05d" % number + bytes(1000) for number in range(60)]
    for half in (values[:30], values[30:]):
        wanted = batches(settings, *half, size=8_000)
        assert max(len(each) for each in wanted.values()) > 3
        await producer.append(wanted, WITHIN)
        await producer.commit(WITHIN)
    assert await seen(cluster, settings) == values


async def test_the_last_to_initialise_is_the_holder(cluster: Cluster, settings: KafkaSettings, *, v2: bool) -> None:
    """Another holder's open transaction is aborted, and it can neither write nor commit any more."""
    first, second = (an_id(cluster, settings, "id", v2=v2) for _ in range(2))
    await first.initialise(WITHIN)
    await first.append(batches(settings, b"zombie"), WITHIN)
    await second.initialise(WITHIN)
    await second.append(batches(settings, b"owner"), WITHIN)
    await second.commit(WITHIN)
    with pytest.raises(TransactionFailed) as failure:
        await first.commit(WITHIN)
    assert failure.value.fenced
    assert not failure.value.unknown
    with pytest.raises(TransactionFailed) as failure:
        await first.append(batches(settings, b"again"), WITHIN)
    assert failure.value.fenced
    assert await seen(cluster, settings) == [b"owner"]


async def test_a_commit_that_races_with_the_next_holder_is_whole_or_fenced(
    cluster: Cluster, settings: KafkaSettings, *, v2: bool
) -> None:
    """At whatever moment another holder initialises: nothing is half committed, and no answer looks like a fault of the producer."""
    kept: list[bytes] = []
    for number in range(40):
        first, second = (an_id(cluster, settings, f"id{number % 4}", v2=v2) for _ in range(2))
        await first.initialise(WITHIN)
        await first.append(batches(settings, b"%d" % number), WITHIN)
        taking = asyncio.create_task(second.initialise(WITHIN))
        await asyncio.sleep(number / 5_000)  # another moment of the initialisation each time
        (ended,) = await asyncio.gather(first.commit(WITHIN), return_exceptions=True)
        await taking
        if ended is None:
            kept.append(b"%d" % number)
        else:
            assert isinstance(ended, TransactionFailed)
            assert ended.fenced, ended
    assert await seen(cluster, settings) == kept


async def test_records_that_a_broker_refuses_are_named(cluster: Cluster, settings: KafkaSettings, *, v2: bool) -> None:
    """A record batch above the broker's limit: its partition is named, nothing of the transaction is seen, the id goes on."""
    producer = an_id(cluster, settings, "id", v2=v2)
    await producer.initialise(WITHIN)
    with pytest.raises(RecordsRefused) as refusal:
        await producer.append(batches(settings, bytes(1_200_000), size=1_500_000), WITHIN)
    assert refusal.value.places == {(settings.topic_prefix + OUT, 0)}
    assert "error 10" in str(refusal.value)
    await producer.abort(WITHIN)
    await producer.append(batches(settings, b"after"), WITHIN)
    await producer.commit(WITHIN)
    assert await seen(cluster, settings) == [b"after"]


async def test_a_topic_that_does_not_exist_is_named_in_time(
    cluster: Cluster, settings: KafkaSettings, *, v2: bool
) -> None:
    """It is tried again until the time is over, since metadata may be on the way; then its partition is named."""
    producer = an_id(cluster, settings, "id", v2=v2)
    await producer.initialise(WITHIN)
    ghost: Place = (settings.topic_prefix + "ghost.v1", 0)
    wanted = {ghost: batches(settings, b"x")[settings.topic_prefix + OUT, 0]}
    began = time.monotonic()
    with pytest.raises(RecordsRefused) as refusal:
        await producer.append(wanted, 1.0)
    assert time.monotonic() - began < WITHIN
    assert refusal.value.places == {ghost}


async def test_readers_see_a_commit_a_little_later(cluster: Cluster, settings: KafkaSettings, *, v2: bool) -> None:
    """`until_visible` waits for the markers; with a transaction open it says no."""
    place = settings.topic_prefix + OUT, 0
    producer = an_id(cluster, settings, "id", v2=v2)
    await producer.initialise(WITHIN)
    await producer.append(batches(settings, b"x"), WITHIN)
    assert not await cluster.until_visible(place, 0.2)
    await producer.commit(WITHIN)
    assert await cluster.until_visible(place, WITHIN)
    assert await cluster.end_of(place, committed=True) == await cluster.end_of(place, committed=False)


async def test_of_several_topics_the_missing_one_is_named(
    cluster: Cluster, settings: KafkaSettings, *, v2: bool
) -> None:
    """The topics beside it are not at fault, although the older protocol adds none of them then; and the id goes on."""
    producer = an_id(cluster, settings, "id", v2=v2)
    await producer.initialise(WITHIN)
    ghost: Place = (settings.topic_prefix + "ghost.v1", 0)
    for _ in range(3):
        wanted = {**batches(settings, b"y"), ghost: batches(settings, b"x")[settings.topic_prefix + OUT, 0]}
        with pytest.raises(RecordsRefused) as refusal:
            await producer.append(wanted, 0.5)
        assert refusal.value.places == {ghost}
        await producer.abort(WITHIN)
    await producer.append(batches(settings, b"after"), WITHIN)
    await producer.commit(WITHIN)
    assert await seen(cluster, settings) == [b"after"]


async def test_a_leader_that_moves_does_not_hide_a_commit(
    cluster: Cluster, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`until_visible` looks again, with new metadata, as long as it may."""
    ask, failures = cluster.end_of, [KafkaError("moved"), OSError("closed")]

    async def failing(place: Place, *, committed: bool) -> int:
        if failures:
            raise failures.pop()
        return await ask(place, committed=committed)

    monkeypatch.setattr(cluster, "end_of", failing)
    assert await cluster.until_visible((settings.topic_prefix + OUT, 0), WITHIN)
    assert not failures
