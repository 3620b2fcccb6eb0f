"""Guards the one value that is overridden inside aiokafka (clients.FIRST_SEND_BACKOFF)."""

import inspect
import statistics
import time

import aiokafka.producer.sender
import pytest

from services.chassis.kafka.clients import FIRST_SEND_BACKOFF, lower_backoff, transactional_producer
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import create_topics
from tests.fixtures.broker import KafkaUnderTest


def test_the_name_still_exists_and_is_used() -> None:
    """aiokafka has no setting for it: if a new version renames it, this says so."""
    lower_backoff()
    assert aiokafka.producer.sender.BACKOFF_OVERRIDE == FIRST_SEND_BACKOFF
    assert "BACKOFF_OVERRIDE" in inspect.getsource(aiokafka.producer.sender.AddPartitionsToTxnHandler)


async def _median_of_transactions(kafka: KafkaSettings, name: str) -> float:
    producer = transactional_producer(
        kafka,
        transactional_id=kafka.topic_prefix + name,
        client_id=name,
        transaction_timeout_ms=10_000,
        request_timeout_ms=10_000,
        max_batch_bytes=100_000,
    )
    took = []
    await producer.start()
    try:
        for _ in range(25):
            began = time.monotonic()
            async with producer.transaction():
                await producer.send_and_wait(kafka.topic_prefix + OUT, b"x", b"k")
            took.append(time.monotonic() - began)
    finally:
        await producer.stop()
    return statistics.median(took[5:])


@pytest.mark.kafka
async def test_it_takes_the_wait_out_of_a_transaction(
    kafka: KafkaUnderTest, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared in one run: with aiokafka's own value each transaction that follows another sleeps through most of its time."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    ours = await _median_of_transactions(settings, "ours")
    with monkeypatch.context() as patch:
        patch.setattr("services.chassis.kafka.clients.FIRST_SEND_BACKOFF", 0.02)
        theirs = await _median_of_transactions(settings, "theirs")
    lower_backoff()
    assert theirs - ours > 0.005
