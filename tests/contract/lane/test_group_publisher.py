"""Concurrent callers of a `DurableProducer` share batches; each caller gets the outcome of its own record."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from services.chassis.kafka.clients import admin_client
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer, RecordTooLarge
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import create_topics, eventually, read_all
from tests.contract.lane.test_discarding import Surprises, freeze, wake
from tests.contract.lane.test_outages import Outages
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

SMALL = "small.v1"
"""A topic whose broker refuses batches above 2,000 bytes."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outages]:
    """One broker for the module; each test leaves it running."""
    outages = Outages(tmp_path_factory.mktemp("publisher"))
    try:
        yield outages
    finally:
        outages.close()


@asynccontextmanager
async def connected(kafka: KafkaSettings, **options: Any) -> AsyncIterator[tuple[DurableProducer, list[Any]]]:
    """Yield a producer that has written one record to each of two partitions, and the list of its batches from then on."""
    batches: list[Any] = []
    async with DurableProducer(kafka, client_id="edge", **options) as edge:
        for partition in range(2):
            await edge.publish(OUT, b"k", b"first", partition=partition)
        producer: Any = edge._connection.current
        send_batch = producer.send_batch

        def noted(batch: Any, topic: str, *, partition: int) -> Awaitable[Any]:
            batches.append((topic.removeprefix(kafka.topic_prefix), partition, batch.record_count()))
            sending: Awaitable[Any] = send_batch(batch, topic, partition=partition)
            return sending

        producer.send_batch = noted
        yield edge, batches


async def outcomes(calls: list[Awaitable[tuple[int, int]]]) -> list[Any]:
    """Run all calls in one turn of the event loop; return results and exceptions."""
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_callers_of_one_turn_share_a_batch_a_partition(kafka: KafkaUnderTest, prefix: str) -> None:
    """A hundred callers cost one batch in each partition, and each gets the place of its own record."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
    async with connected(settings) as (edge, batches):
        got = await outcomes([edge.publish(OUT, b"k%d" % n, b"%d" % n, partition=n % 2) for n in range(100)])
    assert sorted(batches) == [(OUT, 0, 50), (OUT, 1, 50)]
    found = {(record.partition, record.offset): record.value for record in await read_all(settings, OUT)}
    assert [found[place] for place in got] == [b"%d" % n for n in range(100)]


async def test_records_that_arrive_during_a_batch_are_the_next_batch(broker: Outages, prefix: str) -> None:
    """While the broker does not answer, a partition has one batch in flight, and everything else waits for it."""
    settings = broker.settings(prefix)
    await create_topics(settings, 2)
    async with connected(settings) as (edge, batches), asyncio.TaskGroup() as calls:
        freeze(broker)
        for number in range(5):
            calls.create_task(edge.publish(OUT, b"k", b"%d" % number, partition=0))
            for _ in range(10):
                await asyncio.sleep(0)  # a turn of the event loop each: time to send what may be sent
        assert batches == [(OUT, 0, 1)]
        wake(broker)
    assert batches == [(OUT, 0, 1), (OUT, 0, 4)]


async def test_the_first_calls_keep_their_order(kafka: KafkaUnderTest, prefix: str) -> None:
    """Calls that have to wait for the connection and the partitions are in the log in their order, and so are calls of later turns."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
    async with DurableProducer(settings, client_id="edge", max_in_flight=50) as edge, asyncio.TaskGroup() as calls:
        for number in range(600):
            calls.create_task(edge.publish(OUT, b"k%d" % (number % 3), b"%d" % number))
            if number % 7 == 0:
                await asyncio.sleep(0)
    written = await read_all(settings, OUT)
    for key in (b"k0", b"k1", b"k2"):
        places = [
            (record.partition, record.offset, int(record.value or b"")) for record in written if record.key == key
        ]
        assert len(places) == 200
        assert all(one < two for one, two in pairwise(sorted(places)))
        assert [number for *_, number in sorted(places)] == sorted(number for *_, number in places)


async def test_keys_are_in_the_partitions_of_kafkas_default(kafka: KafkaUnderTest, prefix: str) -> None:
    """The partition of a key is the one that aiokafka's own `send` chooses, which is the one of Kafka's Java client."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 7)
    async with DurableProducer(settings, client_id="edge") as edge:
        for number in range(50):
            partition, _ = await edge.publish(OUT, b"key %d" % number, b"v")
            own = await edge._connection.current.send_and_wait(settings.topic_prefix + OUT, b"v", b"key %d" % number)
            assert partition == own.partition


async def test_records_and_bytes_in_flight_are_bounded(kafka: KafkaUnderTest, prefix: str) -> None:
    """Callers above the bounds wait in order; a record that is larger than the whole bound on bytes goes alone."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
    async with connected(settings, max_in_flight=10) as (edge, batches):
        got = await outcomes([edge.publish(OUT, b"k", b"%d" % n, partition=0) for n in range(95)])
    assert got == [(0, 1 + n) for n in range(95)]
    assert max(count for *_, count in batches) == 10
    async with connected(settings, max_in_flight_bytes=10_000) as (edge, batches):
        sizes = [3000, 3000, 3000, 3000, 50_000, 100]
        got = await outcomes([edge.publish(OUT, b"k", b"x" * size, partition=0) for size in sizes])
    assert [offset for _, offset in got] == sorted(offset for _, offset in got)
    assert [count for *_, count in batches] == [3, 1, 1, 1]


async def test_a_refused_batch_fails_its_callers_only(kafka: KafkaUnderTest, prefix: str) -> None:
    """The other batches of the turn are durable. The partition of the refused batch takes the next batch."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
    async with admin_client(settings, client_id="test") as admin:
        limit = {"max.message.bytes": "2000"}
        await admin.create_topics([NewTopic(settings.topic_prefix + SMALL, 1, 1, topic_configs=limit)])
    async with connected(settings) as (edge, _):
        await edge.publish(SMALL, b"k", b"first")
        calls = [edge.publish(SMALL, b"k", b"x" * 1500), edge.publish(SMALL, b"k", b"x" * 1500)]
        got = await outcomes([*calls, edge.publish(OUT, b"k", b"other", partition=0)])
        assert [type(outcome) for outcome in got] == [BrokerUnavailable, BrokerUnavailable, tuple]
        await edge.publish(SMALL, b"k", b"later")
    values = Counter(record.value for record in await read_all(settings, SMALL))
    assert values == {b"first": 1, b"later": 1}


async def test_a_wrong_record_fails_alone(kafka: KafkaUnderTest, prefix: str) -> None:
    """A partition that does not exist, or a value that cannot be written: the callers of the same turn do not notice."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
    wrong: Any = "text"
    async with connected(settings) as (edge, _):
        got = await outcomes(
            [
                edge.publish(OUT, b"k", b"1", partition=0),
                edge.publish(OUT, b"k", b"2", partition=9),
                edge.publish(OUT, b"k", wrong, partition=0),
                edge.publish(OUT, b"k", b"x" * 1_000_000, partition=0),
                edge.publish(OUT, b"k", b"3", partition=0),
            ]
        )
        assert [type(outcome) for outcome in got] == [tuple, ValueError, TypeError, RecordTooLarge, tuple]
        assert await edge.publish(OUT, b"k", b"4", partition=0) == (0, 3)


async def test_deadlines_are_each_callers_own(broker: Outages, prefix: str) -> None:
    """The impatient caller of a turn fails in time, the patient one gets its place when the broker answers again."""
    settings = broker.settings(prefix)
    await create_topics(settings, 2)
    surprises = Surprises()
    async with connected(settings) as (edge, _), asyncio.TaskGroup() as calls:
        freeze(broker)
        patient = calls.create_task(edge.publish(OUT, b"k", b"patient", partition=0, timeout=60))
        async with asyncio.timeout(10):
            with pytest.raises(BrokerUnavailable, match="not acknowledged in time"):
                await edge.publish(OUT, b"k", b"impatient", partition=0, timeout=0.3)
        assert not patient.done()
        wake(broker)
    assert patient.result() == (0, 2)  # both were in one batch
    assert surprises.seen == []


async def test_a_cancelled_caller_disturbs_no_other(broker: Outages, prefix: str) -> None:
    """Callers are cancelled while their batch is in flight, while they wait for it, and while they wait for a place."""
    settings = broker.settings(prefix)
    await create_topics(settings, 2)
    surprises = Surprises()
    async with connected(settings, max_in_flight=4) as (edge, batches):
        freeze(broker)
        calls = [asyncio.create_task(edge.publish(OUT, b"k", b"0", partition=0))]
        await eventually(lambda: len(batches) == 1, "a batch in flight")
        calls += [asyncio.create_task(edge.publish(OUT, b"k", b"%d" % n, partition=0)) for n in range(1, 8)]
        await eventually(lambda: len(edge._publisher._waiting) == 4, "four callers wait for a place")
        for number in (0, 2, 5):
            calls[number].cancel()
        wake(broker)
        got = await asyncio.gather(*calls, return_exceptions=True)
        cancelled = [number for number, outcome in enumerate(got) if isinstance(outcome, asyncio.CancelledError)]
        assert cancelled == [0, 2, 5]
        # All places are free again.
        assert len(await outcomes([edge.publish(OUT, b"k", b"after", partition=1) for _ in range(4)])) == 4
        assert edge._publisher._free_records == 4
    values = [record.value for record in await read_all(settings, OUT) if record.partition == 0]
    assert values == [b"first", b"0", b"1", b"3", b"4", b"6", b"7"]
    assert surprises.seen == []


async def test_records_given_up_in_an_outage_are_not_sent_later(broker: Outages, prefix: str) -> None:
    """Only the batch that was in flight may arrive; its callers and those behind it fail in time, and the memory is free afterwards."""
    settings = broker.settings(prefix)
    await create_topics(settings, 2)
    surprises = Surprises()
    async with connected(settings, max_in_flight=20) as (edge, batches):
        broker.kill()
        in_flight = asyncio.create_task(edge.publish(OUT, b"k", b"in flight", partition=0, timeout=0.5))
        await eventually(lambda: len(batches) == 1, "a batch in flight")
        got = await outcomes([edge.publish(OUT, b"k", b"behind", partition=0, timeout=0.5) for _ in range(50)])
        assert {type(outcome) for outcome in got} == {BrokerUnavailable}
        with pytest.raises(BrokerUnavailable):
            await in_flight
        assert edge._publisher._waiting == {}
        await broker.start()

        async def back() -> bool:
            try:
                await edge.publish(OUT, b"k", b"after", partition=0, timeout=1)
            except BrokerUnavailable:
                return False
            return True

        await eventually(back, "the producer recovers")
        await eventually(lambda: edge._publisher._free_records == 20, "all places are free")
    values = Counter(record.value for record in await read_all(settings, OUT) if record.partition == 0)
    assert values[b"behind"] == 0
    assert values[b"in flight"] <= 1
    assert values[b"after"] >= 1
    assert surprises.seen == []


async def test_closing_with_records_in_flight(kafka: KafkaUnderTest, prefix: str) -> None:
    """Records in flight become durable before the producer is closed; later calls fail."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
    async with connected(settings, max_in_flight=30) as (edge, _):
        calls = [asyncio.create_task(edge.publish(OUT, b"k%d" % n, b"%d" % n)) for n in range(100)]
        await asyncio.sleep(0)
    got = await asyncio.gather(*calls)
    found = {(record.partition, record.offset): record.value for record in await read_all(settings, OUT)}
    assert [found[place] for place in got] == [b"%d" % n for n in range(100)]
    with pytest.raises(BrokerUnavailable):
        await edge.publish(OUT, b"k", b"late")


async def test_closing_while_the_broker_hangs(broker: Outages, prefix: str) -> None:
    """Every caller gets an answer, and closing takes a bounded time: those in a batch, those behind it, those without a place."""
    settings = broker.settings(prefix)
    await create_topics(settings, 2)
    surprises = Surprises()
    try:
        async with asyncio.timeout(60):
            async with connected(settings, max_in_flight=4) as (edge, batches):
                freeze(broker)
                calls = [asyncio.create_task(edge.publish(OUT, b"k", b"0", partition=0, timeout=300))]
                await eventually(lambda: len(batches) == 1, "a batch in flight")
                calls += [
                    asyncio.create_task(edge.publish(topic, b"k", b"1", timeout=300))
                    for topic in (OUT, OUT, "unknown.v1", OUT, OUT)
                ]
                await eventually(lambda: len(edge._publisher._waiting) == 2, "two callers wait for a place")
            got = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        wake(broker)
    assert {type(outcome) for outcome in got} == {BrokerUnavailable}
    assert surprises.seen == []
    assert edge._publisher._tasks == set()
