"""Ownership of a partition: who has it, how it moves, and an owner's timers and batches. Real Kafka only."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services.chassis.kafka.changelog import ChangelogReader, Restored
from services.chassis.kafka.clients import group_consumer
from services.chassis.kafka.groups import owners
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.transactions.producer import TransactionFailed
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import SPEC, TUNING, Running, Watch, create_topics, eventually, read_all
from tests.contract.lane.rival import Rival
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]

PARTITIONS = 4


@pytest.fixture
async def topics(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await create_topics(settings, PARTITIONS)
    return settings


@pytest.fixture
async def feeder(topics: KafkaSettings) -> AsyncIterator[DurableProducer]:
    async with DurableProducer(topics, client_id="feeder") as producer:
        yield producer


async def feed(producer: DurableProducer, count: int, *, keys: int = 20, command: str = "add") -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            key = b"k%d" % (number % keys)
            tasks.create_task(producer.publish(SPEC.input, key, command.encode(), timeout=30))


async def counts(kafka: KafkaSettings) -> dict[str, list[int]]:
    """Return per key the counts that were written, in order: 1, 2, 3… when no record was lost or handled twice."""
    found: dict[str, list[int]] = defaultdict(list)
    for record in await read_all(kafka, OUT):
        value = (record.value or b"").decode()
        if value.startswith("count "):
            found[(record.key or b"").decode()].append(int(value.removeprefix("count ")))
    return found


def exact(found: dict[str, list[int]], keys: int, each: int) -> bool:
    return len(found) == keys and all(values == list(range(1, each + 1)) for values in found.values())


async def test_partitions_move_without_loss_or_double(topics: KafkaSettings, feeder: DurableProducer) -> None:
    """A second process joins and the first leaves while records flow: each record is handled once, in order per key."""
    first, second = Watch(), Watch()
    async with asyncio.TaskGroup() as tasks:
        async with Running(topics, first, client_id="ledger@one:1") as one:
            await one.live()
            feeding = tasks.create_task(feed(feeder, 2000))
            await one.until(lambda: first.records > 100, "the first works")
            two = Running(topics, second, client_id="ledger@two:1")
            await two.__aenter__()
            await two.until(lambda: two.runner.restored and len(one.runner.partitions) < PARTITIONS, "shared")
            assert set((await owners(topics, SPEC.group, SPEC.input)).values()) == {"ledger@one:1", "ledger@two:1"}
        await feeding
        await two.until(lambda: len(two.runner.partitions) == PARTITIONS, "the second has everything")
        assert await owners(topics, SPEC.group, SPEC.input) == dict.fromkeys(range(PARTITIONS), "ledger@two:1")
        await eventually(lambda: first.records + second.records >= 2000, "all handled")
        await two.__aexit__()
    assert exact(await counts(topics), keys=20, each=100)
    assert first.records + second.records == 2000 == len(one.replies) + len(two.replies)


async def test_each_change_of_restored_is_reported(kafka: KafkaUnderTest, prefix: str) -> None:
    """Readiness follows the lane without a poll: restored, not restored during a rebalance, restored again, and not
    after the end. A member without a partition has nothing to restore."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    one, two = (Running(settings, Watch(), client_id=f"ledger@{name}:1") for name in ("one", "two"))
    async with one:
        assert one.restored_changes == []
        async with asyncio.timeout(30):
            await one.runner.wait_restored()
        assert one.runner.restored
        assert one.restored_changes == [True]
        async with two:
            await one.until(lambda: len(one.restored_changes) >= 3, "restored again")
            await two.live()
            assert sorted((one.runner.partitions, two.runner.partitions)) == [(), (0,)]
    for member in (one, two):
        assert not member.runner.restored
        assert member.restored_changes == [True, False] * (len(member.restored_changes) // 2)


async def test_a_rival_fences_and_the_group_decides(topics: KafkaSettings, feeder: DurableProducer) -> None:
    """A rival that claims one partition without asking the group fences the owner, with all its partitions; the owner, confirmed
    by the group, takes them over again and fences the rival."""
    watch = Watch()
    async with Running(topics, watch) as lane:
        await lane.live()
        await feed(feeder, 20)
        await lane.until(lambda: watch.records == 20, "handled")
        async with Rival(topics, partition=0) as rival:
            outbox = BatchOutbox(99, 1000)
            outbox.send(OUT, b"rival", b"wrote")
            part = rival.submit(outbox)
            await part.durable
            await feed(feeder, 20)
            await lane.until(lambda: watch.records == 40, "handled after all")
            with pytest.raises(TransactionFailed) as failure:
                await rival.submit(outbox).durable
            assert failure.value.fenced
        assert watch.fences == PARTITIONS
    assert exact(await counts(topics), keys=20, each=2)


async def test_a_restore_longer_than_the_session_does_not_loop(
    topics: KafkaSettings, feeder: DurableProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group's heartbeats and polls continue during a restore of any length: one assignment, one takeover."""
    watch = Watch()
    async with Running(topics, watch) as lane:
        await lane.live()
        await feed(feeder, 20)
        await lane.until(lambda: watch.records == 20, "handled")
    longer = TUNING.session_timeout_ms / 1000 + 1.5
    read = ChangelogReader.to_end

    async def slow(reader: ChangelogReader) -> Restored:
        await asyncio.sleep(longer)  # as long as a changelog of that length would take
        return await read(reader)

    monkeypatch.setattr(ChangelogReader, "to_end", slow)
    again = Watch()
    began = time.monotonic()
    async with Running(topics, again) as lane:
        await lane.live()
        assert time.monotonic() - began > longer
        assert again.rebalances == 1
        assert {lane.ledger(partition).context.epoch for partition in range(PARTITIONS)} == {2}
        await feed(feeder, 20)
        await lane.until(lambda: again.records == 20, "handled")
    assert exact(await counts(topics), keys=20, each=2)


async def test_held_partitions_wait_while_timers_go_on(topics: KafkaSettings, feeder: DurableProducer) -> None:
    """Back-pressure by the service: no record is taken while held, the lag is visible, timers still fire."""
    watch = Watch()
    async with Running(topics, watch) as lane:
        await lane.live()
        await feeder.publish(SPEC.input, b"k0", b"timer:300")
        await lane.until(lambda: watch.records == 1, "timer set")
        for partition in range(PARTITIONS):
            lane.runner.pause(partition)
        await feed(feeder, 100)
        await lane.until(lambda: sum(watch.lags.values()) >= 100, "the lag shows")
        await lane.until(lambda: all(not lane.ledger(p).timers for p in range(PARTITIONS)), "the timer fired")
        assert watch.records == 1
        for partition in range(PARTITIONS):
            lane.runner.resume(partition)
        await lane.until(lambda: watch.records == 101, "all handled")
        await lane.until(lambda: not any(watch.lags.values()), "no lag is left")
    assert exact(await counts(topics), keys=20, each=5)


async def test_a_due_timer_does_not_wait_for_the_next_fetch(topics: KafkaSettings, feeder: DurableProducer) -> None:
    """Records may wait until the lane fetches again; a due timer does not."""
    watch = Watch()
    async with Running(topics, watch, replace(TUNING, fetch_pause=3.0)) as lane:
        await lane.live()
        await feeder.publish(SPEC.input, b"k0", b"timer:300")
        await lane.until(lambda: watch.records == 1, "timer set")
        await feeder.publish(SPEC.input, b"k0", b"add")
        await lane.until(lambda: all(not lane.ledger(p).timers for p in range(PARTITIONS)), "the timer fired")
        assert watch.records == 1, "the record waits for the fetch"
        await lane.until(lambda: watch.records == 2, "the record was taken")


async def test_a_small_buffer_loses_nothing(topics: KafkaSettings, feeder: DurableProducer) -> None:
    """The input is paused when the buffer is full, resumed when the buffer is empty enough, and no record is skipped."""
    watch = Watch()
    await feed(feeder, 1000)
    tuning = replace(TUNING, buffer_records=10, max_batch_records=7)
    async with Running(topics, watch, tuning) as lane:
        await lane.until(lambda: watch.records == 1000, "all handled")
    assert exact(await counts(topics), keys=20, each=50)
    assert max(watch.batches) == 7


async def test_batches_follow_the_load(topics: KafkaSettings, feeder: DurableProducer) -> None:
    """An idle lane commits a single record at once; under load a batch contains the records that arrived during the previous one."""
    watch = Watch()
    async with Running(topics, watch) as lane:
        await lane.live()
        await feed(feeder, 1)
        await lane.until(lambda: watch.records == 1, "committed alone")
        await feed(feeder, 2000)
        await lane.until(lambda: watch.records == 2001, "all handled")
    assert watch.batches[0] == 1
    assert max(watch.batches) > 10
    assert len(watch.batches) < 1000


async def test_replies_come_after_their_commit(topics: KafkaSettings, feeder: DurableProducer) -> None:
    """No effect runs before the transaction of its batch is durable."""
    seen: list[str] = []
    watch = Watch()
    tuning = replace(TUNING, fault=lambda point: seen.append(point))
    async with Running(topics, watch, tuning, reply=lambda _: seen.append("reply")) as lane:
        await lane.live()
        seen.clear()
        for number in range(1, 6):
            await feed(feeder, 1)
            await lane.until(lambda number=number: watch.records == number, "committed")  # type: ignore[misc] # a bound loop variable
        await lane.until(lambda: seen.count("reply") == 5, "replied")
        story = [point for point in seen if point in ("before_commit", "inside_commit", "after_commit", "reply")]
    assert story == ["before_commit", "inside_commit", "after_commit", "reply"] * 5


async def test_cancelling_is_graceful(topics: KafkaSettings, feeder: DurableProducer) -> None:
    """A cancelled runner finishes its batch, commits the group's offsets and leaves: the next owner need not wait for the session."""
    watch = Watch()
    lane = Running(topics, watch)
    await lane.__aenter__()
    await lane.live()
    await feed(feeder, 500)
    await lane.until(lambda: watch.records > 0, "at work")
    lane.task.cancel()
    await asyncio.wait({lane.task})
    assert lane.task.cancelled()
    assert await owners(topics, SPEC.group, SPEC.input) == {}
    began = time.monotonic()
    async with Running(topics, watch) as lane:
        await lane.live()
        assert time.monotonic() - began < TUNING.session_timeout_ms / 1000
        await lane.until(lambda: watch.records == 500, "the rest is handled")
    assert exact(await counts(topics), keys=20, each=25)


async def test_the_group_shows_no_lag_when_idle(topics: KafkaSettings, feeder: DurableProducer) -> None:
    """The group's offsets follow the commits, so that tools that watch the group show the lane's lag."""
    watch = Watch()
    async with Running(topics, watch) as lane:
        await lane.live()
        await feed(feeder, 100)
        await lane.until(lambda: watch.records == 100, "all handled")
    admin = AIOKafkaAdminClient(**topics.client_options())
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(topics.topic_prefix + SPEC.group)
    finally:
        await admin.close()
    assert sum(found.offset for found in offsets.values()) == 100


async def test_exactly_one_assignor_is_offered(topics: KafkaSettings) -> None:
    """Members that offer several assignors could agree on one that spreads partitions differently: range only."""
    consumer = group_consumer(
        topics,
        group="any",
        client_id="any",
        session_timeout_ms=6000,
        heartbeat_interval_ms=500,
        rebalance_timeout_ms=6000,
        on_unknown_position="none",
    )
    assert [assignor.name for assignor in consumer._partition_assignment_strategy] == ["range"]
    await consumer.stop()
