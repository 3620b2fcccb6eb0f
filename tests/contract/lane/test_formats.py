"""A changelog whose format changes: the version before, the new one, and the version before again. Real Kafka only.

Two programs stand for two versions of a service: the format of the second has a field more, which the first cannot read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import pytest

from chapar.common.v1.changelog_format_pb2 import ChangelogFormat
from services.chassis.build import version
from services.chassis.finalised import TOPIC, FinalisedFormats
from services.chassis.kafka.changelog import read_changelog
from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.chassis.kafka.changelog_formats import Formats
from services.chassis.kafka.claims import Claim
from services.chassis.kafka.contract import Outbox
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import OUT, Ledger
from tests.contract.lane.real import SPEC, Running, Watch, create_topics, eventually
from tests.contract.lane.test_losses import PARTITIONS, feed
from tests.contract.lane.test_ownership import counts
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]


@dataclass(frozen=True, slots=True)
class Count:
    """An entry of the version before: format 1."""

    count: int


@dataclass(frozen=True, slots=True)
class NamedCount:
    """An entry of the new version: format 2. Another name for `count` would be guessed by no reader of format 1."""

    total: int
    last: str = ""


_OLD: Final = ChangelogCodec[Count](Count)
_NEW: Final = ChangelogCodec[NamedCount | Count](
    NamedCount, version=2, earlier={1: lambda entry: Count(entry.total) if isinstance(entry, NamedCount) else entry}
)


class Before(Ledger):
    """The version before. It knows format 1."""

    def restore(self, key: bytes, value: bytes) -> None:
        self.counts[key.removeprefix(b"count/")] = _OLD.decode(value).count

    def _add(self, key: bytes, outbox: Outbox) -> None:
        count = self.counts[key] = self.counts.get(key, 0) + 1
        outbox.put(b"count/" + key, _OLD.encode(Count(count)))
        outbox.send(OUT, key, b"count %d" % count)


class After(Ledger):
    """The new version. It writes format 2 when that was finalised."""

    def restore(self, key: bytes, value: bytes) -> None:
        old = value[:1] == b"\x01"
        self.counts[key.removeprefix(b"count/")] = _OLD.decode(value).count if old else _new(value).total

    def _add(self, key: bytes, outbox: Outbox) -> None:
        count = self.counts[key] = self.counts.get(key, 0) + 1
        outbox.put(b"count/" + key, _NEW.encode(NamedCount(count, key.decode()), self.context.format()))
        outbox.send(OUT, key, b"count %d" % count)


def _new(value: bytes) -> NamedCount:
    found = _NEW.decode(value)
    assert isinstance(found, NamedCount)
    return found


BEFORE = SPEC
AFTER = replace(SPEC, formats=Formats(newest=2))


@pytest.fixture
async def topics(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await create_topics(settings, PARTITIONS, plain=(SPEC.input, OUT, TOPIC))
    return settings


@asynccontextmanager
async def followed(kafka: KafkaSettings) -> AsyncIterator[FinalisedFormats]:
    """Follow what was finalised, as a service does."""
    formats = FinalisedFormats(kafka)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(formats.reader.run())
        await formats.reader.first()
        yield formats
        reading.cancel()


async def finalise(feeder: DurableProducer, number: int) -> None:
    record = ChangelogFormat(changelog=SPEC.changelog_topic, format=number)
    await feeder.publish(TOPIC, SPEC.changelog_topic.encode(), record.SerializeToString())


async def written(kafka: KafkaSettings, partition: int = 0) -> tuple[set[int], Claim | None]:
    """Return the formats of the entries of a partition, and its claim."""
    topic = kafka.topic_prefix + SPEC.changelog_topic
    found = await read_changelog(kafka, topic, partition, client_id="look", progress=lambda *_: None, close_timeout=3)
    return {value[0] for value in found.entries.values()}, found.claim


async def test_the_format_of_before_is_written_until_the_new_one_is_finalised(topics: KafkaSettings) -> None:
    """Without a restart: the next entry of a running lane has the new format. Entries of before are read as well."""
    async with DurableProducer(topics, client_id="feeder") as feeder, followed(topics) as formats:
        async with Running(topics, watch := Watch(), kind=After, spec=AFTER, formats=formats) as lane:
            await lane.live()
            await feed(feeder)
            await lane.until(lambda: watch.records == PARTITIONS, "handled")
            assert (await written(topics))[0] == {1}
            await finalise(feeder, 2)
            await eventually(lambda: formats.of(SPEC.changelog_topic) == 2, "the decision is read")
            await feed(feeder, 0)
            await lane.until(lambda: watch.records == PARTITIONS + 1, "handled")
            assert (await written(topics))[0] == {2}
            assert (await written(topics, 1))[0] == {1}
        async with Running(topics, watch := Watch(), kind=After, spec=AFTER, formats=formats) as lane:
            await lane.live()
            await feed(feeder)
            await lane.until(lambda: watch.records == PARTITIONS, "handled")
    assert await counts(topics) == {"key-0": [1, 2, 3], "key-1": [1, 2], "key-2": [1, 2]}


def handled(watch: Watch, records: int) -> Callable[[], bool]:
    return lambda: watch.records == records


async def test_the_version_before_goes_on_behind_the_new_one(topics: KafkaSettings) -> None:
    """Before the new format is finalised, an upgrade can be taken back at any time. The claim says which version made it."""
    programs: tuple[tuple[type[Ledger], int], ...] = ((Before, 1), (After, 2), (Before, 1))
    async with DurableProducer(topics, client_id="feeder") as feeder:
        for kind, newest in programs:
            spec = AFTER if kind is After else BEFORE
            async with Running(topics, watch := Watch(), kind=kind, spec=spec) as lane:
                await lane.live()
                await feed(feeder)
                await lane.until(handled(watch, PARTITIONS), "handled")
                formats, claim = await written(topics)
                assert formats == {1}
                assert claim is not None
                assert (claim.version, claim.newest) == (version(), newest)
    assert await counts(topics) == {f"key-{number}": [1, 2, 3] for number in range(PARTITIONS)}


async def test_an_entry_in_a_format_that_is_not_known_is_refused_with_words(
    topics: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """The process goes on with its other partitions. The version that wrote the entry can take the partition over again."""
    finalised = Finalised(2)
    async with DurableProducer(topics, client_id="feeder") as feeder:
        async with Running(topics, watch := Watch(), kind=After, spec=AFTER, formats=finalised) as lane:
            await lane.live()
            await feed(feeder, 0)
            await lane.until(lambda: watch.records == 1, "handled")
        async with Running(topics, watch := Watch(), kind=Before, spec=BEFORE) as lane:
            await lane.until(lambda: watch.refusals == {0: "CHANGELOG_FORMAT"}, "the partition is refused")
            await lane.live()
            await feed(feeder)
            await lane.until(lambda: watch.records == 2, "the other partitions go on")
            assert lane.runner.partitions == (1, 2)
        assert f"a changelog entry of version 2, this program reads 1. This is version {version()}" in caplog.text
        assert caplog.text.count("does not start") == 1, "it waits, and does not try again and again"
        async with Running(topics, watch := Watch(), kind=After, spec=AFTER, formats=finalised) as lane:
            await lane.live()
            await lane.until(lambda: watch.records == 1, "the record that waited is handled")
    assert await counts(topics) == {"key-0": [1, 2], "key-1": [1], "key-2": [1]}


async def test_a_version_without_the_finalised_format_takes_no_partition(
    topics: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """A rollback that comes too late stops nothing: the partitions remain with the replicas that can read them."""
    async with DurableProducer(topics, client_id="feeder") as feeder:
        await finalise(feeder, 2)
        async with (
            followed(topics) as formats,
            Running(topics, watch := Watch(), kind=After, spec=AFTER, formats=formats) as lane,
        ):
            await lane.live()
            async with Running(topics, late := Watch(), kind=Before, spec=BEFORE, formats=formats) as old:
                await old.until(lambda: old.refused == {-1: "CHANGELOG_FORMAT"}, "it says why")
                await feed(feeder)
                await lane.until(lambda: watch.records == PARTITIONS, "the new version handles every partition")
                assert not old.runner.restored
                assert (late.rebalances, watch.rebalances) == (0, 1)
    assert "format 2 of ledger.state.v1 was finalised, and version" in caplog.text
    assert "reads formats up to 1" in caplog.text


@dataclass(frozen=True, slots=True)
class Finalised:
    """One decision about every changelog."""

    number: int

    def of(self, changelog: str) -> int:
        """See `changelog_formats.Finalised`."""
        return self.number
