"""Guards the one value that is overridden inside aiokafka (clients.FIRST_SEND_BACKOFF)."""

import asyncio
import inspect

import aiokafka.producer.sender
import pytest

from services.chassis.kafka.clients import FIRST_SEND_BACKOFF, lower_backoff, transactional_producer
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import create_topics
from tests.fixtures.broker import KafkaUnderTest


def test_the_name_still_exists_and_is_used() -> None:
    """aiokafka has no setting for it: if a new version renames it, this test fails."""
    lower_backoff()
    assert aiokafka.producer.sender.BACKOFF_OVERRIDE == FIRST_SEND_BACKOFF
    assert "BACKOFF_OVERRIDE" in inspect.getsource(aiokafka.producer.sender.AddPartitionsToTxnHandler)


@pytest.mark.kafka
async def test_a_transaction_waits_for_the_overridden_backoff(
    kafka: KafkaUnderTest, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first send after a commit meets the markers of that commit, and sleeps for our value instead of aiokafka's 20 ms."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    slept: list[float] = []
    real = asyncio.sleep

    async def noted(seconds: float, result: object = None) -> object:
        slept.append(seconds)
        return await real(seconds, result)

    producer = transactional_producer(
        settings,
        transactional_id=prefix + "guard",
        client_id="guard",
        transaction_timeout_ms=10_000,
        request_timeout_ms=10_000,
        max_batch_bytes=100_000,
    )
    await producer.start()
    try:
        monkeypatch.setattr(aiokafka.producer.sender.asyncio, "sleep", noted)
        for _ in range(30):
            async with producer.transaction():
                await producer.send_and_wait(prefix + OUT, b"x", b"k")
    finally:
        monkeypatch.undo()
        await producer.stop()
    assert FIRST_SEND_BACKOFF in slept
    assert 0.02 not in slept
