"""The guarantees of the plain clients while the broker is available. (`test_outages` takes it away.)"""

import asyncio
from contextlib import aclosing

import pytest

from chapar.common.v1.dead_letter_pb2 import DeadLetter
from services.chassis.kafka.consumer import GroupConsumer, NotNow
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import DurableProducer, RecordTooLarge
from services.chassis.kafka.records import Record
from services.chassis.kafka.tail import From, tail
from services.chassis.metrics import Metrics
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import create_topics, eventually, read_all
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]


@pytest.mark.parametrize(
    ("from_", "expected"), [("beginning", [b"1", b"2", b"3"]), ("end", [b"3"]), (1000, [b"2", b"3"])]
)
async def test_a_tail_begins_at_the_requested_position(
    kafka: KafkaUnderTest, prefix: str, from_: From, expected: list[bytes]
) -> None:
    """It begins at the beginning, at the end, or N milliseconds ago; then it follows the topic."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    seen: list[bytes | None] = []
    ready = asyncio.Event()

    async def follow() -> None:
        now = lambda: 100_000  # noqa: E731 - a clock that does not move
        async with aclosing(tail(settings, OUT, from_=from_, caught_up=ready.set, clock=now)) as records:
            async for record in records:
                seen.append(record.value)  # noqa: PERF401 - the iteration never ends by itself

    async with DurableProducer(settings, client_id="edge") as edge, asyncio.TaskGroup() as tasks:
        await edge.publish(OUT, b"k", b"1", timestamp_ms=98_000)
        await edge.publish(OUT, b"k", b"2", timestamp_ms=99_500)
        following = tasks.create_task(follow())
        async with asyncio.timeout(20):
            await ready.wait()
        await edge.publish(OUT, b"k", b"3", timestamp_ms=100_000)
        await eventually(lambda: seen == expected, f"{expected}")
        following.cancel()


async def test_publish_returns_partition_and_offset(kafka: KafkaUnderTest, prefix: str) -> None:
    """Headers, explicit partition and timestamp arrive; the result contains partition and offset."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 3)
    async with DurableProducer(settings, client_id="edge") as edge:
        assert await edge.publish(OUT, b"k", b"1", (("h", b"v"),), partition=2, timestamp_ms=7) == (2, 0)
        assert await edge.publish(OUT, b"k", b"2", partition=2) == (2, 1)
        await edge.probe(5)
    first, _ = await read_all(settings, OUT)
    assert first == Record(OUT, 2, 0, 7, b"k", b"1", (("h", b"v"),))


async def test_an_oversized_record_is_refused_at_once(kafka: KafkaUnderTest, prefix: str) -> None:
    """The caller learns that a retry is useless; nothing else is affected."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    async with DurableProducer(settings, client_id="edge", max_record_bytes=1000) as edge:
        with pytest.raises(RecordTooLarge):
            await edge.publish(OUT, b"k", b"x" * 1000)
        assert await edge.publish(OUT, b"k", b"x") == (0, 0)


async def test_a_handler_may_ask_for_its_batch_again(kafka: KafkaUnderTest, prefix: str) -> None:
    """NotNow brings the same records again; a record that makes the handler fail repeatedly becomes a dead letter, alone."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    calls: list[list[bytes | None]] = []

    async def handle(records: list[Record]) -> None:
        calls.append([record.value for record in records])
        if len(calls) == 1:
            raise NotNow("the database is away")
        if any(record.value == b"bug" for record in records):
            raise RuntimeError("a bug")

    metrics = Metrics()
    async with DurableProducer(settings, client_id="edge") as edge, asyncio.TaskGroup() as tasks:
        poison = Poison("g", metrics, producer=edge, clock=lambda: 7)
        consumer = GroupConsumer(settings, group="g", topics=[OUT], handler=handle, client_id="g", poison=poison)
        await edge.publish(OUT, b"k", b"1")
        running = tasks.create_task(consumer.run())
        await eventually(lambda: calls == [[b"1"], [b"1"]], "the same batch again")
        for value in (b"2", b"bug", b"3"):
            await edge.publish(OUT, b"k", value)
        await eventually(lambda: [b"3"] in calls or any(call[-1] == b"3" for call in calls), "the record after it")
        consumer.stop()
        await running
    assert calls.count([b"bug"]) in (3, 4)  # alone three times, and once before that in its batch
    (letter,) = [DeadLetter.FromString(r.value or b"") for r in await read_all(settings, "deadletters.v1")]
    assert (letter.value, letter.origin_topic, letter.origin_offset) == (b"bug", OUT, 2)
    assert (letter.reason, letter.detail, letter.refused_by) == ("READER_FAILED", "RuntimeError", "g")
    assert metrics.counter("chapar_records_stepped_over_total").labels(OUT, "READER_FAILED")._value.get() == 1
