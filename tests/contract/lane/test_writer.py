"""The one committer of a process. Real Kafka only."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from services.chassis.clock import system_clock
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.transactions.contents import Place, RecordBatch, Sealed
from services.chassis.kafka.transactions.producer import TransactionalId, TransactionFailed
from services.chassis.kafka.writer import Part, Writer, WriterTuning
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import SPEC, create_topics, eventually, read_all
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

TOO_LARGE = 1_200_000
PARTITIONS = 4


class Lanes:
    """Parts as lanes submit them, one lane for each partition of the changelog."""

    def __init__(self, kafka: KafkaSettings, writer: Writer) -> None:
        self._kafka = kafka
        self.writer = writer

    async def submit(self, lane: int, value: bytes = b"x", *, alone: bool = False, topic: str = OUT) -> Part:
        outbox = BatchOutbox(1, 2 * TOO_LARGE)
        outbox.send(topic, b"k", value, partition=lane)
        place = self._kafka.topic_prefix + SPEC.changelog_topic, lane
        incarnation = await self.writer.incarnation()
        return incarnation.submit(Sealed(outbox, {b"k": value[:10]}, system_clock(), place), alone=alone)


@pytest.fixture
def points() -> list[str]:
    return []


@pytest.fixture(params=[False, True], ids=["v2", "v1"])
async def lanes(
    request: pytest.FixtureRequest, kafka: KafkaUnderTest, prefix: str, points: list[str]
) -> AsyncIterator[Lanes]:
    settings = kafka.settings(prefix)
    await create_topics(settings, PARTITIONS)
    tuning = WriterTuning(
        max_batch_bytes=2 * TOO_LARGE, append_timeout=3.0, fault=points.append, old_protocol=request.param
    )
    async with Writer(settings, service="ledger", tuning=tuning) as writer:
        yield Lanes(settings, writer)


async def values(kafka: KafkaSettings) -> set[bytes | None]:
    return {record.value for record in await read_all(kafka, OUT)}


async def test_what_is_ready_together_is_one_transaction(lanes: Lanes, points: list[str]) -> None:
    """Many lanes cost one commit."""
    parts = [await lanes.submit(lane) for lane in range(PARTITIONS)]
    await asyncio.gather(*(part.durable for part in parts))
    assert points.count("after_commit") == 1


async def test_a_transaction_waits_for_the_commit_before_it(lanes: Lanes, points: list[str]) -> None:
    """The next one may be filled meanwhile, but what is durable is always a beginning of what was submitted."""
    parts = []
    for number in range(30):
        parts.append(await lanes.submit(number % PARTITIONS))
        await parts[-1].sent
    await asyncio.gather(*(part.durable for part in parts))
    commits = [point for point in points if point in ("before_commit", "after_commit")]
    assert commits == ["before_commit", "after_commit"] * 30


async def test_a_lane_whose_records_are_refused_stops_nobody_else(
    lanes: Lanes, kafka: KafkaUnderTest, prefix: str
) -> None:
    """The shared transaction is aborted once, and says who is a suspect; then the suspect fails alone, again and again."""
    culprit, neighbour = await lanes.submit(0, bytes(TOO_LARGE)), await lanes.submit(1, b"neighbour")
    for part in (culprit, neighbour):
        with pytest.raises(TransactionFailed):
            await part.durable
    assert (culprit.suspect, neighbour.suspect) == (True, False)
    before = await lanes.writer.incarnation()
    for number in range(3):
        again = await lanes.submit(0, bytes(TOO_LARGE), alone=True)
        good = await lanes.submit(1, b"neighbour %d" % number)
        await good.durable
        with pytest.raises(TransactionFailed):
            await again.durable
    await (await lanes.submit(0, b"small now", alone=True)).durable
    assert await lanes.writer.incarnation() is before
    assert await values(kafka.settings(prefix)) == {b"neighbour 0", b"neighbour 1", b"neighbour 2", b"small now"}


async def test_one_fenced_id_ends_the_incarnation(lanes: Lanes, kafka: KafkaUnderTest, prefix: str) -> None:
    """Every lane hears of it, also one that writes nothing; the next incarnation has other ids."""
    first = await lanes.writer.incarnation()
    heard: list[str] = []
    first.listen(lambda: heard.append("over"))
    async with Writer(kafka.settings(prefix), service="rival") as rival:
        await rival.fence(first.claim(1), (await rival.incarnation()).cluster)
    with pytest.raises(TransactionFailed) as failure:
        await (await lanes.submit(0)).durable
    assert failure.value.fenced
    await eventually(lambda: heard == ["over"], "the listener is told")
    with pytest.raises(TransactionFailed):
        first.check()
    second = await lanes.writer.incarnation()
    assert second.name != first.name
    await (await lanes.submit(0, b"by the second")).durable
    assert await values(kafka.settings(prefix)) == {b"by the second"}


async def test_closing_ends_what_is_not_durable(kafka: KafkaUnderTest, prefix: str) -> None:
    """A part that was submitted and not committed fails; nothing hangs."""
    settings = kafka.settings(prefix)
    await create_topics(settings, PARTITIONS)
    async with Writer(settings, service="ledger") as writer:
        part = await Lanes(settings, writer).submit(0)
    with pytest.raises(TransactionFailed, match="closed"):
        await part.durable


async def test_a_lane_that_writes_a_missing_topic_stops_nobody_else(lanes: Lanes) -> None:
    """No lane can write the topic, so its writer is a suspect; the incarnation goes on."""
    before = await lanes.writer.incarnation()
    for alone in (False, True, True):
        culprit = await lanes.submit(0, topic="ghost.v1", alone=alone)
        neighbour = await lanes.submit(1)
        with pytest.raises(TransactionFailed):
            await culprit.durable
        assert culprit.suspect
        assert not neighbour.suspect
    await neighbour.durable
    assert await lanes.writer.incarnation() is before


async def test_an_id_is_not_filled_while_it_commits(lanes: Lanes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not when the transactions of all others were refused meanwhile."""
    busy: set[str] = set()
    held, go = asyncio.Event(), asyncio.Event()
    append, commit = TransactionalId.append, TransactionalId.commit

    async def watched(producer: TransactionalId, batches: Mapping[Place, list[RecordBatch]], within: float) -> None:
        assert producer.name not in busy
        await append(producer, batches, within)

    async def slow(producer: TransactionalId, within: float) -> None:
        busy.add(producer.name)
        held.set()
        await go.wait()
        await commit(producer, within)
        busy.discard(producer.name)

    monkeypatch.setattr(TransactionalId, "append", watched)
    monkeypatch.setattr(TransactionalId, "commit", slow)
    first = await lanes.submit(0)
    await held.wait()
    for lane in (1, 2):
        with pytest.raises(TransactionFailed, match="not taken"):
            await (await lanes.submit(lane, bytes(TOO_LARGE))).durable
    last = await lanes.submit(3)
    await asyncio.sleep(0.1)  # filled, while nothing can be committed
    go.set()
    await asyncio.gather(first.durable, last.durable)
