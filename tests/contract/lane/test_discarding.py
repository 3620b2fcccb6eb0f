"""A client is discarded while its broker hangs or dies with requests in flight: it raises nothing, and waits only for a bounded time."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from services.chassis.kafka.clients import (
    admin_client,
    close_consumer,
    discard_producer,
    group_consumer,
    idempotent_producer,
    plain_reader,
    transactional_producer,
)
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka.transactions.producer import TransactionFailed
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import SPEC, Running, Watch, create_topics
from tests.contract.lane.rival import Rival
from tests.contract.lane.test_outages import Outages

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

CLOSE = 0.5
STEPS = 4


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outages]:
    """One broker for the module; each test starts it again."""
    outages = Outages(tmp_path_factory.mktemp("discarding"))
    try:
        yield outages
    finally:
        outages.close()


class Surprises:
    """The exceptions without an owner that the event loop reported."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.seen.append(repr(context)))


def freeze(broker: Outages) -> None:
    """Make the broker hang: connections stay open, and no request is answered."""
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)


def wake(broker: Outages) -> None:
    """Let the broker continue."""
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGCONT)


async def kill_soon(broker: Outages) -> None:
    """The hanging broker dies while the client is being discarded: its connections break."""
    await asyncio.sleep(CLOSE / 2)
    broker.kill()


async def idempotent(kafka: KafkaSettings) -> Any:
    producer = idempotent_producer(
        kafka, client_id="edge", request_timeout_ms=10_000, max_record_bytes=100_000, linger_ms=0
    )
    await producer.start()
    await producer.send_and_wait(kafka.topic_prefix + OUT, b"first", b"k")
    return producer


async def transactional(kafka: KafkaSettings) -> Any:
    producer = transactional_producer(
        kafka,
        transactional_id=f"{kafka.topic_prefix}discarded",
        client_id="lane",
        transaction_timeout_ms=15_000,
        request_timeout_ms=10_000,
        max_batch_bytes=100_000,
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(kafka.topic_prefix + OUT, b"first", b"k")
    return producer


@pytest.mark.parametrize("dies", [True, False], ids=["the broker dies", "the broker hangs"])
@pytest.mark.parametrize("build", [idempotent, transactional])
async def test_a_producer_with_records_in_flight(
    broker: Outages, prefix: str, build: Callable[[KafkaSettings], Awaitable[Any]], dies: bool
) -> None:
    """The producer's own stop raises KeyError here; a discarded producer raises nothing, and ends within a bounded time."""
    kafka = broker.settings(prefix)
    await create_topics(kafka, 2)
    surprises = Surprises()
    producer = await build(kafka)
    freeze(broker)
    sent = [await producer.send(kafka.topic_prefix + OUT, b"x" * 1000, b"k%d" % n) for n in range(50)]
    await asyncio.sleep(0.1)  # the requests have reached the kernel
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        if dies:
            tasks.create_task(kill_soon(broker))
        tasks.create_task(discard_producer(producer, CLOSE))
    assert time.monotonic() - began < STEPS * CLOSE + 5
    if not dies:
        wake(broker)
    assert all(future.done() for future in sent)
    await discard_producer(producer, CLOSE)  # a second call is harmless
    del sent, producer  # no caller has waited for the records
    gc.collect()
    assert surprises.seen == []
    if dies:
        await broker.start()


async def test_consumers_and_admins(broker: Outages, prefix: str) -> None:
    """A reader with a fetch in flight, a group's member and an admin client are discarded without an exception too."""
    kafka = broker.settings(prefix)
    await create_topics(kafka, 2)
    surprises = Surprises()
    reader = plain_reader(kafka, client_id="reader")
    member = group_consumer(
        kafka,
        group="any",
        client_id="any",
        session_timeout_ms=6000,
        heartbeat_interval_ms=100,
        rebalance_timeout_ms=6000,
        on_unknown_position="earliest",
    )
    member.subscribe([kafka.topic_prefix + OUT])
    await reader.start()
    reader.subscribe([kafka.topic_prefix + OUT])
    await member.start()
    await member.getmany(timeout_ms=500)
    async with asyncio.timeout(30), admin_client(kafka, client_id="admin") as admin:
        await admin.list_topics()
        freeze(broker)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kill_soon(broker))
            tasks.create_task(close_consumer(reader, CLOSE))
            tasks.create_task(close_consumer(member, CLOSE))
    assert surprises.seen == []
    await broker.start()


async def test_a_transaction_that_cannot_be_aborted(broker: Outages, prefix: str) -> None:
    """A lane's batch is in flight when the broker hangs and dies: the writer is discarded without raising an exception."""
    kafka = broker.settings(prefix)
    await create_topics(kafka, 2)
    surprises = Surprises()
    async with Rival(kafka) as lane:
        outbox = BatchOutbox(1, 20_000)
        for number in range(50):
            outbox.send(OUT, b"k%d" % number, b"x" * 1000)
        freeze(broker)
        part = lane.submit(outbox)
        await asyncio.sleep(0.2)  # the requests have reached the kernel
        broker.kill()
    with pytest.raises(TransactionFailed):
        await part.durable
    assert surprises.seen == []
    await broker.start()


async def test_a_service_continues_after_an_outage(broker: Outages, prefix: str) -> None:
    """An edge that publishes and a lane that works meet a broker that hangs, then dies: both work when it is back."""
    kafka = broker.settings(prefix)
    await create_topics(kafka, 2)
    watch = Watch()
    async with DurableProducer(kafka, client_id="edge", timeout=1.0) as edge, Running(kafka, watch) as lane:
        await lane.live()
        await edge.publish(SPEC.input, b"k", b"add")
        await lane.until(lambda: watch.records == 1, "interactions")
        in_flight = [asyncio.create_task(_fails(edge.publish(SPEC.input, b"k%d" % n, b"add"))) for n in range(20)]
        freeze(broker)
        await asyncio.wait(in_flight)
        broker.kill()
        await broker.start()

        async def back() -> bool:
            try:
                await edge.publish(SPEC.input, b"after", b"add")
            except BrokerUnavailable:
                return False
            return True

        while not await back():
            assert not lane.task.done()
        seen = watch.records
        await edge.publish(SPEC.input, b"after", b"add")
        await lane.until(lambda: watch.records > seen, "the lane works again", 60)


async def _fails(work: Awaitable[object]) -> None:
    try:
        await work
    except (BrokerUnavailable, TransactionFailed):
        return
