"""The publisher of a relay on a real broker."""

import pytest

from services.chassis.clock import system_clock
from services.chassis.kafka.batch_publisher import MAX_RECORD_BYTES, BatchPublisher
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.producer import BrokerUnavailable, RecordTooLarge
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import create_topics, read_all
from tests.fixtures.broker import KafkaUnderTest, RestartableKafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]


async def test_many_large_records_stay_in_order(kafka: KafkaUnderTest, prefix: str) -> None:
    """They need several batches per partition, which follow each other."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
    sends = [Send(OUT, None, b"key-%d" % (n % 4), b"%06d" % n + b"x" * 60_000, (("h", b"v"),)) for n in range(60)]
    async with BatchPublisher(settings, client_id="p", clock=lambda: 1_700_000_000_000) as publisher:
        await publisher.publish(sends)
        await publisher.publish([])
    written = await read_all(settings, OUT)
    for key in {send.key for send in sends}:
        assert [r.value for r in written if r.key == key] == [send.value for send in sends if send.key == key]
    assert {(record.timestamp_ms, record.headers) for record in written} == {(1_700_000_000_000, (("h", b"v"),))}


async def test_a_record_that_is_too_large_writes_nothing(kafka: KafkaUnderTest, prefix: str) -> None:
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    async with BatchPublisher(settings, client_id="p", clock=system_clock) as publisher:
        with pytest.raises(RecordTooLarge):
            await publisher.publish(
                [Send(OUT, None, b"k", b"1", ()), Send(OUT, None, b"k", b"x" * MAX_RECORD_BYTES, ())]
            )
        largest = b"x" * (MAX_RECORD_BYTES - 100)
        await publisher.publish([Send(OUT, None, b"k", largest, ())])
    assert [record.value for record in await read_all(settings, OUT)] == [largest]


async def test_without_a_broker_it_fails_in_time_and_recovers(own_kafka: RestartableKafka, prefix: str) -> None:
    """The caller repeats the batch; the producer is replaced."""
    settings = own_kafka.settings(prefix)
    await create_topics(settings, 1)
    send = Send(OUT, None, b"k", b"1", ())
    async with BatchPublisher(settings, client_id="p", clock=system_clock, timeout=4.0) as publisher:
        await publisher.publish([send])
        own_kafka.kill()
        with pytest.raises(BrokerUnavailable):
            await publisher.publish([send])
        with pytest.raises(BrokerUnavailable):
            await publisher.publish([send])
        own_kafka.start()
        await publisher.publish([send])
    assert len(await read_all(settings, OUT)) in (2, 3)  # the failed batch may have arrived


async def test_entering_needs_no_broker() -> None:
    nowhere = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9"})
    async with BatchPublisher(nowhere, client_id="p", clock=system_clock, timeout=0.5) as publisher:
        await publisher.publish([])
        with pytest.raises(BrokerUnavailable):
            await publisher.publish([Send(OUT, None, b"k", b"1", ())])
