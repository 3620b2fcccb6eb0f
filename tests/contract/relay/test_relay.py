"""A relay on a real broker: at least once, in order per key, and what it writes lets the reader recognise repetitions."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from chapar.common.v1.dead_letter_pb2 import DeadLetter
from services.chassis.clock import system_clock
from services.chassis.kafka.batch_publisher import BatchPublisher
from services.chassis.kafka.clients import admin_client
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka.relay import Relay, RelaySpec
from services.chassis.kafka.relayed import RelayedPlaces
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import SPEC as LEDGER
from tests.contract.lane.real import Watch, create_topics, eventually, read_all
from tests.fixtures.broker import KafkaUnderTest, RestartableKafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
SPEC = RelaySpec("mover", LEDGER.input)
KEYS = 7


def moved(record: Record) -> Send | None:
    """Change the key to the last digit of the value."""
    if record.value in (b"poison", None):
        raise InvalidRecord("UNDECODABLE", "poison")
    if record.value == b"bug":
        raise RuntimeError("a bug")
    if record.value == b"nothing":
        return None
    return Send(OUT, None, b"new-%d" % (int(record.value or b"0") % KEYS), record.value or b"", (("event-id", b"e"),))


@asynccontextmanager
async def running(
    kafka: KafkaSettings, watch: Watch | None = None, joined: list[bool] | None = None
) -> AsyncIterator[Relay]:
    """Run a relay for the time of the block, and stop it as a service does: by cancellation."""
    async with (
        DurableProducer(kafka, client_id="letters") as producer,
        BatchPublisher(kafka, client_id="mover", clock=system_clock) as publisher,
        asyncio.TaskGroup() as tasks,
    ):
        relay = Relay(
            SPEC,
            moved,
            kafka,
            publisher,
            Poison("mover", Metrics(), producer=producer, clock=system_clock),
            client_id="mover",
            clock=system_clock,
            metrics=watch or Watch(),
            on_joined=None if joined is None else joined.append,
        )
        task = tasks.create_task(relay.run())
        try:
            yield relay
        finally:
            task.cancel()


async def feed(kafka: KafkaSettings, values: Sequence[bytes | None]) -> None:
    """Write records under one key per tenth value, so that several partitions have some."""
    async with DurableProducer(kafka, client_id="feeder") as feeder:
        await asyncio.gather(
            *(feeder.publish(LEDGER.input, b"old-%d" % (n % 10), value) for n, value in enumerate(values))
        )


async def committed(kafka: KafkaSettings) -> int:
    """Return the sum of the group's committed offsets."""
    async with admin_client(kafka, client_id="test") as admin:
        offsets = await admin.list_consumer_group_offsets(kafka.topic_prefix + SPEC.name)
    return sum(found.offset for found in offsets.values())


def first_times(records: Sequence[Record]) -> list[bytes]:
    """Return the values that a lane would handle: it ignores repetitions, per partition."""
    places: dict[int, RelayedPlaces] = defaultdict(RelayedPlaces)
    found = []
    for record in records:
        if not places[record.partition].repeated(record):
            places[record.partition].handled(record)
            found.append(record.value or b"")
    return found


def in_order(records: Sequence[Record], sources: Sequence[Record]) -> bool:
    """Whether each new key has its records in the order of each partition of origin."""
    origin = {record.value: (record.partition, record.offset) for record in sources}
    newest: dict[tuple[bytes | None, int], int] = {}
    for record in records:
        partition, offset = origin[record.value]
        if newest.get((record.key, partition), -1) >= offset:
            return False
        newest[record.key, partition] = offset
    return True


async def test_records_go_on_under_their_new_key_in_order(kafka: KafkaUnderTest, prefix: str) -> None:
    """All of them, once when nothing fails; the group's offsets follow; the member is ready when it has joined."""
    settings, watch = kafka.settings(prefix), Watch()
    joined: list[bool] = []
    await create_topics(settings, 3)
    values = [b"%d" % number for number in range(1500)]
    await feed(settings, values)
    async with running(settings, watch, joined) as relay:
        await eventually(lambda: watch.records == len(values), "all are relayed")
        assert (relay.joined, joined) == (True, [True])
        await eventually(lambda: watch.lags == {0: 0, 1: 0, 2: 0}, "no lag is reported")
    assert joined[-1] is False
    written, sources = await read_all(settings, OUT), await read_all(settings, SPEC.input)
    assert sorted(record.value or b"" for record in written) == sorted(values)
    assert in_order(written, sources)
    assert await committed(settings) == len(values)
    assert watch.rebalances == 1


async def test_a_poison_record_becomes_a_dead_letter_and_its_neighbours_pass(
    kafka: KafkaUnderTest, prefix: str
) -> None:
    """Refused by the conversion, or a bug of it; records that become nothing cost nothing."""
    settings, watch = kafka.settings(prefix), Watch()
    await create_topics(settings, 1)
    await feed(settings, [b"1", b"poison", b"2", b"bug", b"nothing", b"3"])
    async with running(settings, watch):
        await eventually(lambda: watch.records == 6, "all are handled")
    assert [record.value for record in await read_all(settings, OUT)] == [b"1", b"2", b"3"]
    letters = [DeadLetter.FromString(record.value or b"") for record in await read_all(settings, "deadletters.v1")]
    assert [(each.value, each.reason, each.refused_by) for each in letters] == [
        (b"poison", "UNDECODABLE", "mover"),
        (b"bug", "READER_FAILED", "mover"),
    ]
    assert watch.dead == ["UNDECODABLE", "READER_FAILED"]


async def test_an_orderly_stop_repeats_nothing(kafka: KafkaUnderTest, prefix: str) -> None:
    """The batch under way ends, and its offsets are committed: the next owner begins after it."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
    values = [b"%d" % number for number in range(3000)]
    feeding = asyncio.create_task(feed(settings, values))
    seen = 0
    for _ in range(3):
        watch = Watch()
        async with running(settings, watch):
            await eventually(lambda watch=watch: watch.records > 0, "a batch")  # type: ignore[misc] # bound on purpose
        seen += watch.records
    await feeding
    async with running(settings) as _:
        await eventually(lambda: committed_all(settings, len(values)), "all")
    assert sorted(record.value or b"" for record in await read_all(settings, OUT)) == sorted(values)


async def committed_all(kafka: KafkaSettings, number: int) -> bool:
    return await committed(kafka) == number


async def test_a_broker_that_dies_loses_nothing_and_order_stays(own_kafka: RestartableKafka, prefix: str) -> None:
    """Killed twice while the relay publishes: what a lane handles is each record once, in order."""
    settings, watch = own_kafka.settings(prefix), Watch()
    await create_topics(settings, 2)
    values = [b"%d" % number for number in range(4000)]
    await feed(settings, values)
    async with running(settings, watch):
        for part in (1, 2):
            await eventually(lambda part=part: watch.records >= part * 500, "some are relayed")  # type: ignore[misc] # bound on purpose
            await asyncio.to_thread(own_kafka.kill)
            await asyncio.to_thread(own_kafka.start)
        await eventually(lambda: committed_all(settings, len(values)), "all are relayed", 60)
    written = await read_all(settings, OUT)
    assert sorted(first_times(written)) == sorted(values)
    once: list[Record] = []
    seen: set[bytes | None] = set()
    for record in written:
        if record.value not in seen:
            seen.add(record.value)
            once.append(record)
    assert in_order(once, await read_all(settings, SPEC.input))
    assert first_times(written) == [record.value for record in once]


async def test_relays_that_take_over_from_each_other_lose_nothing(kafka: KafkaUnderTest, prefix: str) -> None:
    """Members come and go while records arrive."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 4)
    values = [b"%d" % number for number in range(4000)]
    feeding = asyncio.create_task(feed(settings, values))
    async with running(settings), running(settings) as second:
        await eventually(lambda: second.joined, "both are members")
        for _ in range(3):
            async with running(settings) as other:
                await eventually(lambda other=other: other.joined, "another member")  # type: ignore[misc] # bound on purpose
        await feeding
        await eventually(lambda: committed_all(settings, len(values)), "all are relayed", 60)
    written = await read_all(settings, OUT)
    assert sorted(first_times(written)) == sorted(values)


async def test_the_partition_of_a_key_is_that_of_kafkas_own_partitioner(kafka: KafkaUnderTest, prefix: str) -> None:
    """Other writers of the topic use the same keys."""
    settings = kafka.settings(prefix)
    await create_topics(settings, 3)
    async with (
        DurableProducer(settings, client_id="edge") as edge,
        BatchPublisher(settings, client_id="mover", clock=system_clock) as publisher,
    ):
        keys = [b"key-%d" % number for number in range(30)]
        await publisher.publish([Send(OUT, None, key, b"relayed", ()) for key in keys])
        expected = {key: (await edge.publish(OUT, key, b"published"))[0] for key in keys}
    assert {
        record.key: record.partition for record in await read_all(settings, OUT) if record.value == b"relayed"
    } == expected
