"""A commit that takes long, while the lane does something else meanwhile. Real Kafka only."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from services.chassis.kafka.away import Away
from services.chassis.kafka.changelog import read_changelog
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import Record
from services.chassis.kafka.transactions.producer import RecordsRefused, TransactionalId
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.real import SPEC, TUNING, Running, Watch, create_topics
from tests.contract.lane.test_ownership import counts
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]


class Slow:
    """Keeps commits from the broker, as a coordinator does that is away for a while, and refuses records."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held: list[str] = []
        self.begun: list[str] = []
        self.refusals = 0
        self._holds: Callable[[str], bool] = lambda _: False
        self._go = asyncio.Event()
        commit, append = TransactionalId.commit, TransactionalId.append

        async def slow(producer: TransactionalId, within: float) -> None:
            self.begun.append(producer.name)
            if self._holds(producer.name):
                self.held.append(producer.name)
                await self._go.wait()
            await commit(producer, within)

        async def refusing(producer: TransactionalId, batches: dict, within: float) -> None:  # type: ignore[type-arg]
            await append(producer, batches, within)
            if self.refusals:
                self.refusals -= 1
                raise RecordsRefused(dict.fromkeys(batches, "by the test"))

        monkeypatch.setattr(TransactionalId, "commit", slow)
        monkeypatch.setattr(TransactionalId, "append", refusing)

    def hold(self, which: Callable[[str], bool]) -> None:
        self._holds = which

    def release_one(self) -> None:
        self._go.set()
        self._go = asyncio.Event()

    def release(self) -> None:
        self._holds = lambda _: False
        self.release_one()


@pytest.fixture
async def topics(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await create_topics(settings, 1)
    return settings


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(monkeypatch)


def written(name: str) -> bool:
    """Whether it is an id of a writer, not of a claim."""
    return not name.endswith("-claim")


async def test_a_rehabilitated_lane_keeps_its_order(topics: KafkaSettings, slow: Slow) -> None:
    """A lane that wrote alone and writes together again: its next batch is not committed before its last one is durable."""
    watch = Watch()
    async with (
        Running(topics, watch, replace(TUNING, max_batch_records=1)) as lane,
        DurableProducer(topics, client_id="feeder") as feeder,
    ):
        await lane.live()
        slow.begun.clear()
        slow.refusals = 1
        slow.hold(lambda name: slow.begun.count(name) in (2, 3))  # by the id for one lane alone; the first is its start
        for _ in range(4):
            await feeder.publish(SPEC.input, b"k", b"add")
        await lane.until(lambda: len(slow.held) == 1, "the first batch is held, the second submitted alone")
        await asyncio.sleep(0.3)  # nothing happens that could be awaited
        slow.release_one()
        await lane.until(lambda: len(slow.held) == 2, "the second batch is held")
        await asyncio.sleep(0.5)
        assert all(name.endswith("-alone") for name in slow.begun), "the third does not overtake the second"
        slow.release()
        await lane.until(lambda: watch.records == 4, "all handled")
        assert not slow.begun[-1].endswith("-alone"), "together again"
    assert (await counts(topics))["k"] == [1, 2, 3, 4]


async def test_a_replay_waits_for_the_commit_before_it(topics: KafkaSettings, slow: Slow) -> None:
    """The lane restores when it knows whether its last batch is durable, however long that takes."""
    watch = Watch()
    async with (
        Running(topics, watch, replace(TUNING, stop_timeout=0.3)) as lane,
        DurableProducer(topics, client_id="feeder") as feeder,
    ):
        await lane.live()
        slow.hold(written)
        await feeder.publish(SPEC.input, b"k", b"add")
        await lane.until(lambda: len(slow.held) == 1, "held")
        await feeder.publish(SPEC.input, b"k", b"half")
        await asyncio.sleep(1.5)  # longer than `stop_timeout`
        slow.release()
        await feeder.publish(SPEC.input, b"k", b"add")
        await lane.until(lambda: watch.records >= 3, "all handled", within=15)
    assert (await counts(topics))["k"] == [1, 2]


async def test_a_partition_that_comes_back_has_no_open_batch(topics: KafkaSettings, slow: Slow) -> None:
    """A lane was cancelled during a commit, and its partition comes back to this process, whose writer lives: the new lane
    begins when the batch is decided and visible."""
    watch = Watch()
    async with (
        Running(topics, watch, replace(TUNING, stop_timeout=0.3, close_timeout=0.3)) as lane,
        DurableProducer(topics, client_id="feeder") as feeder,
    ):
        await lane.live()
        slow.hold(written)
        await feeder.publish(SPEC.input, b"k", b"add")
        await lane.until(lambda: len(slow.held) == 1, "held")
        before = lane.runner._membership
        assert before is not None
        before.over.set()  # as after a failure of the consumer
        await lane.until(lambda: lane.runner._membership is not before, "joined again")
        await asyncio.sleep(2.0)  # the takeover comes to where it waits
        slow.release()
        await lane.live()
        await feeder.publish(SPEC.input, b"k", b"add")
        await lane.until(lambda: lane.replies[-1:] == ["k=2"], "handled", within=15)
    assert (await counts(topics))["k"] == [1, 2]


async def test_a_lane_that_waits_after_a_failure_releases(topics: KafkaSettings) -> None:
    """A lane whose dependency is away holds its claim while it waits. Stopped then, it releases: otherwise the next owner fences
    this process, with all its other lanes."""

    async def prepare(records: Sequence[Record]) -> None:
        if records and records[0].topic == SPEC.input:
            raise Away("by the test")

    tuning = replace(TUNING, retry_least=20.0, retry_most=20.0)
    watch = Watch()
    async with (
        Running(topics, watch, tuning, prepare=prepare) as lane,
        DurableProducer(topics, client_id="f") as feeder,
    ):
        await lane.live()
        await feeder.publish(SPEC.input, b"k", b"add")
        await lane.until(lambda: not lane.runner.restored, "it waits")
        membership = lane.runner._membership
        assert membership is not None
        (waiting,) = membership._tasks.values()
        await membership.on_partitions_revoked(set())
        assert waiting.done()
        place = topics.topic_prefix + SPEC.changelog_topic
        found = await read_changelog(topics, place, 0, client_id="test", progress=lambda *_: None, close_timeout=3.0)
        assert found.claim is not None
        assert found.claim.free
