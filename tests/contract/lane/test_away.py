"""A dependency of a record is away: no record is blamed, none is lost or skipped, and no process ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from aiokafka.errors import KafkaConnectionError

from services.chassis.kafka.away import Away
from services.chassis.kafka.consumer import GroupConsumer, NotNow
from services.chassis.kafka.lane import Outbox
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka.records import Record
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.chassis.privacy.away import KeysAway
from tests.contract.lane.ledger import OUT, Ledger
from tests.contract.lane.real import SPEC, TUNING, Running, Watch, create_topics, eventually, read_all
from tests.contract.lane.test_ownership import counts, exact, feed
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]
MORE_THAN_ENOUGH = TUNING.attempts + 2


@asynccontextmanager
async def running(consumer: GroupConsumer) -> AsyncIterator[None]:
    """Run a member of a group for the time of the block; raise its exception."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run())
        yield
        consumer.stop()


@pytest.mark.parametrize(
    "away",
    [NotNow, BrokerUnavailable, KafkaConnectionError, KeysAway, ConnectionRefusedError, TimeoutError],
)
async def test_a_group_waits_while_a_dependency_is_away(
    kafka: KafkaUnderTest, prefix: str, away: Callable[[str], Exception]
) -> None:
    """In a batch, or while records are passed one by one after another record has failed."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    handled: list[bytes | None] = []
    alone: list[bytes | None] = []

    async def handle(records: list[Record]) -> None:
        values = [record.value for record in records]
        if len(values) > 1:
            raise RuntimeError("a bug")
        alone.extend(values)
        if len(alone) <= MORE_THAN_ENOUGH:
            raise away("away")
        handled.extend(values)

    async with DurableProducer(settings, client_id="edge") as edge:
        for value in (b"1", b"2", b"3"):
            await edge.publish(OUT, b"k", value)
        poison = Poison("g", Metrics(), producer=edge, clock=lambda: 7)
        consumer = GroupConsumer(settings, group="g", topics=[OUT], handler=handle, client_id="g", poison=poison)
        async with running(consumer):
            await eventually(lambda: handled[-3:] == [b"1", b"2", b"3"], "each is handled", 60)
    assert set(alone[: MORE_THAN_ENOUGH + 1]) == {b"1"}
    assert await read_all(settings, "deadletters.v1") == []


async def test_a_lane_waits_when_prepare_cannot_write(kafka: KafkaUnderTest, prefix: str) -> None:
    """A producer without a broker, as when a key must be made during an outage: the lane takes over again, and each record counts once."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    nowhere = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9"})
    refusals = 0

    async with (
        DurableProducer(settings, client_id="feeder") as feeder,
        DurableProducer(nowhere, client_id="keys", timeout=0.2) as keys,
    ):

        async def prepare(records: Sequence[Record]) -> None:
            nonlocal refusals
            if records[0].topic == SPEC.input and refusals < MORE_THAN_ENOUGH:
                refusals += 1
                await keys.publish("personal.keys.v1", b"k", b"v")

        watch = Watch()
        async with Running(settings, watch, prepare=prepare) as lane:
            await lane.live()
            await feed(feeder, 40)
            await lane.until(lambda: lane.runner.restored and sum(lane.ledger().counts.values()) == 40, "all handled")
    assert refusals == MORE_THAN_ENOUGH
    assert watch.dead == []
    assert exact(await counts(settings), keys=20, each=2)


class Waiting(Ledger):
    """Lacks a dependency of the first records, for longer than the retries of a bug last."""

    refusals: ClassVar[list[int]] = []

    def handle(self, record: Record, outbox: Outbox) -> None:
        if len(self.refusals) < MORE_THAN_ENOUGH:
            self.refusals.append(record.offset)
            raise Away("the keys are away")
        super().handle(record, outbox)


async def test_a_processor_that_waits_makes_no_dead_letters(kafka: KafkaUnderTest, prefix: str) -> None:
    """The processor may report a missing dependency any number of times."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    Waiting.refusals.clear()
    watch = Watch()
    async with DurableProducer(settings, client_id="feeder") as feeder, Running(settings, watch, kind=Waiting) as lane:
        await lane.live()
        await feed(feeder, 40)
        await lane.until(lambda: lane.runner.restored and sum(lane.ledger().counts.values()) == 40, "all handled")
    assert len(Waiting.refusals) == MORE_THAN_ENOUGH
    assert watch.dead == []
    assert exact(await counts(settings), keys=20, each=2)
