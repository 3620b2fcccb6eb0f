"""The broker dies during work, and comes back. These tests use their own broker."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from services.chassis.kafka.consumer import GroupConsumer
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka.records import Record
from services.chassis.kafka.tail import tail
from services.chassis.metrics import Metrics
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import SPEC, TUNING, Running, Watch, create_topics, eventually, read_all
from tests.contract.lane.test_ownership import counts, exact, feed
from tests.fixtures.broker import EmbeddedTestBroker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


class Outages:
    """A broker that can be killed. It must be started by a thread that lives on, because the broker dies with that thread."""

    def __init__(self, home: Path) -> None:
        self._starter = ThreadPoolExecutor(1)
        self._broker = self._starter.submit(EmbeddedTestBroker, home, "160m").result()
        self.settings = self._broker.settings
        self.kill = self._broker.kill
        self.stop = self._broker.stop

    @property
    def pid(self) -> int | None:
        """The process id of the broker, for signals."""
        return self._broker.pid

    async def start(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._starter, self._broker.start)

    def close(self) -> None:
        self._broker.close()
        self._starter.shutdown()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outages]:
    """One broker for the module: each test leaves it running."""
    outages = Outages(tmp_path_factory.mktemp("outages"))
    try:
        yield outages
    finally:
        outages.close()


def kill_at(broker: Outages, point: str, pass_number: int) -> tuple[Callable[[str], None], asyncio.Event]:
    """Return a fault that kills the broker when the lane passes `point` for the n-th time, and the event that it sets then."""
    killed = asyncio.Event()
    passed = 0

    def fault(name: str) -> None:
        nonlocal passed
        passed += name == point
        if passed == pass_number and not killed.is_set():
            killed.set()
            broker.kill()

    return fault, killed


async def test_a_broker_killed_in_mid_transaction(broker: Outages, prefix: str) -> None:
    """The broker is killed before and during a commit, and restarted: the lane continues by itself, and every record is handled once."""
    kafka = broker.settings(prefix)
    await create_topics(kafka, 2)
    for turn, point in enumerate(("after_send", "inside_commit"), 1):
        async with DurableProducer(kafka, client_id="feeder") as feeder:
            await feed(feeder, 400)
        fault, killed = kill_at(broker, point, 5)
        watch = Watch()
        async with Running(kafka, watch, replace(TUNING, max_batch_records=20, fault=fault)) as lane:
            await lane.until(killed.is_set, f"killed at {point}")
            await broker.start()
            await lane.until(partial(counted, lane, 400 * turn), f"all handled after {point}", within=60)
    assert exact(await counts(kafka), keys=20, each=40)


def counted(lane: Running, records: int) -> bool:
    """Return whether both partitions are live and have counted `records` records in total."""
    if len(lane.runner.partitions) < 2:
        return False
    return sum(sum(lane.ledger(partition).counts.values()) for partition in range(2)) == records


async def test_clients_outlive_the_broker(broker: Outages, prefix: str) -> None:
    """Edges get BrokerUnavailable within their deadline and recover; tails and group consumers continue at their positions."""
    kafka = broker.settings(prefix)
    await create_topics(kafka, 2)
    handled: list[Record] = []
    seen: list[Record] = []

    async def handle(records: list[Record]) -> None:
        handled.extend(records)

    async def follow() -> None:
        async with aclosing(tail(kafka, OUT, from_="beginning")) as records:
            async for record in records:
                seen.append(record)  # noqa: PERF401 - the iteration never ends by itself

    consumer = GroupConsumer(
        kafka, group="projection", topics=[OUT], handler=handle, client_id="projection", poison=Poison("p", Metrics())
    )
    async with DurableProducer(kafka, client_id="edge", max_in_flight=50) as edge, asyncio.TaskGroup() as tasks:
        consuming, following = tasks.create_task(consumer.run()), tasks.create_task(follow())
        for number in range(20):
            await edge.publish(OUT, b"k%d" % number, b"before %d" % number)
        await eventually(lambda: len(handled) == len(seen) == 20, "read before the outage")
        broker.kill()
        for _ in range(3):
            with pytest.raises(BrokerUnavailable):
                await edge.publish(OUT, b"lost", b"perhaps", timeout=0.2)
        await broker.start()

        async def back() -> bool:
            try:
                await edge.publish(OUT, b"after", b"after", timeout=1)
            except BrokerUnavailable:
                return False
            return True

        await eventually(back, "the producer recovers")
        await eventually(lambda: any(r.value == b"after" for r in handled), "the group consumer recovers", 40)
        await eventually(lambda: any(r.value == b"after" for r in seen), "the tail recovers", 40)
        consumer.stop()
        await consuming
        following.cancel()
    written = await read_all(kafka, OUT)
    written.sort(key=lambda r: (r.partition, r.offset))
    assert [r.value for r in written if (r.value or b"").startswith(b"before")] == [
        r.value for r in sorted(seen, key=lambda r: (r.partition, r.offset)) if (r.value or b"").startswith(b"before")
    ]
    assert {(r.partition, r.offset) for r in written} <= {(r.partition, r.offset) for r in handled}


async def test_an_edge_starts_without_a_broker(broker: Outages, prefix: str) -> None:
    """Entering the producer needs no broker; a lane's runner waits for one too; both stop on request."""
    kafka = broker.settings(prefix)
    await create_topics(kafka, 1)
    broker.stop()
    watch = Watch()
    async with DurableProducer(kafka, client_id="edge") as edge, Running(kafka, watch) as lane:
        with pytest.raises(BrokerUnavailable):
            await edge.publish(SPEC.input, b"k", b"add", timeout=0.3)
        assert not lane.runner.restored
        await broker.start()
        await lane.live()
        await edge.publish(SPEC.input, b"k", b"add", timeout=10)
        await lane.until(lambda: watch.records >= 1, "handled")
