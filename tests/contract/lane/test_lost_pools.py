"""A lane frees the state of a partition that it has lost, whatever the reason for the loss. Real Kafka only."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.chassis.clock import system_clock
from services.chassis.kafka.contract import LaneContext
from services.chassis.kafka.heap import Heap
from services.chassis.kafka.membership import Membership
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.runner import LaneRunner
from services.chassis.kafka.writer import Writer
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import Ledger
from tests.contract.lane.real import SPEC, TUNING, Watch, create_topics, eventually
from tests.contract.lane.rival import Rival
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]

LOSSES = 5


class Pools:
    """Makes processors with a reference cycle, and knows which of them are alive."""

    def __init__(self) -> None:
        self._made: list[weakref.ref[Ledger]] = []

    def make(self, context: LaneContext) -> Ledger:
        made = Ledger(context, lambda _: None)
        made.cycle = made  # type: ignore[attr-defined] # as in engines, indexes and callbacks
        self._made.append(weakref.ref(made))
        return made

    @property
    def made(self) -> int:
        return len(self._made)

    @property
    def alive(self) -> int:
        return sum(each() is not None for each in self._made)


@pytest.fixture
async def kafka_settings(kafka: KafkaUnderTest, prefix: str) -> AsyncIterator[KafkaSettings]:
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    yield settings
    gc.unfreeze()


async def fence(kafka: KafkaSettings) -> None:
    """Act as a rival: claim the partition, so that the owner's next commit fails."""
    async with Rival(kafka):
        pass


def a_runner(kafka: KafkaSettings, writer: Writer, pools: Pools, **more: Any) -> LaneRunner:
    """Return a runner of the ledger that makes its processors in `pools`."""
    return LaneRunner(SPEC, pools.make, kafka, writer=writer, clock=system_clock, tuning=TUNING, **more)


async def test_a_partition_lost_five_times_leaves_one_pool(kafka_settings: KafkaSettings) -> None:
    """A rival fences the lane repeatedly: each lost state is freed, and the last one when the lane stops."""
    pools, watch = Pools(), Watch()
    writer = Writer(kafka_settings, service="ledger")
    runner = a_runner(kafka_settings, writer, pools, metrics=watch, heap=Heap(soon=0.05))
    async with DurableProducer(kafka_settings, client_id="feeder") as feeder, writer, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(runner.run())
        await eventually(lambda: runner.restored, "live")
        for loss in range(1, LOSSES + 1):
            await fence(kafka_settings)
            await feeder.publish(SPEC.input, b"k", b"add")
            await eventually(lambda loss=loss: watch.records >= loss, "handled by the next owner")  # type: ignore[misc] # a bound loop variable
            await eventually(lambda: pools.alive == 1, f"{pools.alive} pools are alive after {loss} losses", 5)
        assert pools.made > LOSSES
        runner.stop()
        await running
    await eventually(lambda: pools.alive == 0, "the last pool is freed", 5)


async def test_a_pool_that_a_rebalance_takes_away_is_freed(kafka_settings: KafkaSettings) -> None:
    """A partition that moves to another process permanently does not stay in the memory of the first."""
    first_pools, second_pools = Pools(), Pools()
    writers = [Writer(kafka_settings, service="ledger") for _ in range(2)]

    first = a_runner(kafka_settings, writers[0], first_pools, client_id="ledger@b:1")
    second = a_runner(kafka_settings, writers[1], second_pools, client_id="ledger@a:1")
    async with writers[0], writers[1], asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(first.run())]
        await eventually(lambda: first.partitions == (0,), "the first owns it")
        running.append(tasks.create_task(second.run()))
        # One partition, two members: the group gives it to the member whose id sorts first, which has "a" in its name.
        await eventually(lambda: second.partitions == (0,), "the second owns it")
        await eventually(lambda: first_pools.alive == 0, "the first has freed it", 10)
        assert second_pools.alive == 1
        first.stop()
        second.stop()
        await asyncio.wait(running)


async def test_a_failed_incarnation_keeps_no_pool(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a lane waits for its next takeover, the state that it has lost is freed: two large pools may not fit the memory."""
    pools, watch = Pools(), Watch()
    writer = Writer(kafka_settings, service="ledger")
    runner = a_runner(kafka_settings, writer, pools, metrics=watch, heap=Heap(soon=0.05))
    async with DurableProducer(kafka_settings, client_id="feeder") as feeder, writer, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(runner.run())
        await eventually(lambda: runner.restored, "live")
        go = asyncio.Event()
        ask = Membership.still_ours

        async def asked(self: Membership, partition: int) -> bool:
            await go.wait()
            return await ask(self, partition)

        monkeypatch.setattr(Membership, "still_ours", asked)
        await fence(kafka_settings)
        await feeder.publish(SPEC.input, b"k", b"add")
        await eventually(lambda: watch.fences == 1, "fenced")
        await eventually(lambda: pools.alive == 0, "the lost pool is freed before the next is made", 5)
        go.set()
        await eventually(lambda: watch.records >= 1, "handled by the next owner")
        runner.stop()
        await running
