"""A lane on a replicated cluster: brokers die one after another, leaders and coordinators move, and nothing is lost or done twice."""

import asyncio

import pytest

from services.chassis.kafka.producer import DurableProducer
from tests.contract.lane.real import SPEC, Running, Watch, create_topics, eventually
from tests.contract.lane.test_ownership import PARTITIONS, counts, exact
from tests.fixtures.three_brokers import NODES, ThreeBrokers, three_brokers

__all__ = ["three_brokers"]

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(300)]

KEYS, EACH = 20, 120
ENOUGH = 100
"""Records that are handled after each change, before the next."""


async def feed(producer: DurableProducer) -> None:
    """Write each key's records in order, at a steady pace."""
    for _ in range(EACH):
        async with asyncio.TaskGroup() as tasks:
            for key in range(KEYS):
                tasks.create_task(producer.publish(SPEC.input, b"k%d" % key, b"add", timeout=60))
        await asyncio.sleep(0.1)  # the pace: faults fall between records


async def test_brokers_die_one_after_another(three_brokers: ThreeBrokers, prefix: str) -> None:
    """Each broker is killed once and comes back: it led some partitions and coordinated some transactions."""
    settings = three_brokers.settings(prefix)
    await create_topics(settings, PARTITIONS, replicas=3)
    watches = [Watch(), Watch()]

    def handled() -> int:
        return sum(watch.records for watch in watches)

    async def some_more() -> None:
        before = handled()
        await eventually(lambda: handled() >= min(before + ENOUGH, KEYS * EACH), f"more than {before}", 60)

    async with (
        DurableProducer(settings, client_id="feeder") as producer,
        Running(settings, watches[0], client_id="ledger@one:1") as one,
        Running(settings, watches[1], client_id="ledger@two:1") as two,
        asyncio.TaskGroup() as tasks,
    ):
        await eventually(lambda: len(one.runner.partitions) + len(two.runner.partitions) == PARTITIONS, "shared")
        tasks.create_task(feed(producer))
        for node in NODES:
            await some_more()
            three_brokers.kill(node)
            await some_more()
            three_brokers.start(node)
            await asyncio.to_thread(three_brokers.wait_ready)
        await eventually(lambda: handled() >= KEYS * EACH, "all handled", 90)
    assert exact(await counts(settings), keys=KEYS, each=EACH)
    assert handled() == KEYS * EACH == len(one.replies) + len(two.replies)
