"""The projection on a real log, on SQLite and on PostgreSQL."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from chapar.ingest.v1 import ingest_pb2
from services.chassis.kafka_settings import KafkaSettings
from services.ingest.adapters.history.database import Database, database_url
from services.ingest.domain.reach import Reach
from tests.contract.history.records import Life, whole_life
from tests.contract.history.tables_as_data import everything
from tests.contract.history.world import Running, eventually, publish, running, topics
from tests.fixtures.broker import KafkaUnderTest

pytestmark = pytest.mark.kafka


@pytest.fixture
async def log(kafka: KafkaUnderTest, prefix: str) -> AsyncIterator[KafkaSettings]:
    settings = kafka.settings(prefix)
    async with topics(settings):
        yield settings


async def rows(url: str, *, positions: bool = True) -> dict[str, list[dict[str, object]]]:
    async with Database(database_url(url, {}, "", "")) as database:
        return await everything(database, positions=positions)


async def test_reads_existing_and_later_records(log: KafkaSettings, url: str) -> None:
    """Ready once all existing records are written; later records are written too, and watchers get them in order."""
    await publish(log, whole_life().log)
    async with running(log, url) as one:
        assert not one.health.component("history").ready
        await one.caught_up()
        assert one.health.component("history").ready
        reader = one.history.reader
        assert (await reader.interaction(Reach.whole("acme"), "one-i")).interaction.state == "completed"
        watched = aiter(reader.watch(lambda: Reach.whole("acme"), "one-c", -1))
        assert [(await anext(watched)).message.message_id for _ in range(2)] == ["one-m3", "one-d"]
        more = Life(name="one")
        more.said("later", message_id="later")
        more.log[0] = (more.log[0][0], more.log[0][1], more.log[0][2].replace(b"one-e1", b"one-x1"))
        await publish(log, more.log)
        async with asyncio.timeout(30):
            assert (await anext(watched)).message.text == "later"
        assert one.count("written") == len(whole_life().log) + 1
        assert one.count("repeated") == one.count("refused") == 0


async def test_records_that_cant_be_read_are_skipped(log: KafkaSettings, url: str) -> None:
    """Records that are undecodable, empty, of an unknown kind, without ids or with an impossible time are counted; the
    records around them are written."""
    life = whole_life()
    long = Life(name="x" * 1000)
    long.opened()
    late = Life(name="late", at=1 << 62)
    late.opened()
    nul = Life(name="nul")
    nul.opened()
    nul.said("a\x00b")
    bad = [
        ("conversations.v1", b"k", b"\xff\xff"),
        ("routing.events.v1", b"k", b""),
        ("deliveries.v1", b"k", b"\x0a\x01x"),
    ]
    await publish(log, [*bad, *long.log, *late.log, *life.log, *bad, *nul.log])
    async with running(log, url) as one:
        await one.caught_up()
        assert one.count("refused") == 2 * len(bad) + 2
        assert one.count("written") == len(life.log) + 2
        found = await one.history.reader.search(Reach.whole("acme"), ingest_pb2.SearchConversationsRequest(words="a b"))
        assert "nul-c" not in [each.conversation_id for each in found.conversations if each.person_id != "nul-p"]
        assert (await one.history.reader.interaction(Reach.whole("acme"), "one-i")).interaction.state == "completed"


async def test_killed_and_restarted_it_ends_in_the_same_rows(log: KafkaSettings, url: str, tmp_path: Path) -> None:
    """The projection is cancelled repeatedly during its work and ends with the same rows as one that was not interrupted."""
    lives = [whole_life(f"n{number}") for number in range(20)]
    await publish(log, [record for life in lives for record in life.log])
    async with running(log, f"sqlite:///{tmp_path}/undisturbed.sqlite3") as undisturbed:
        await undisturbed.caught_up()
    for stop_after in (1, 40, 90, 180):
        async with running(log, url, batch=10) as one:
            await one.written_or_done(stop_after)
    async with running(log, url, batch=10) as last:
        await last.caught_up()
        assert last.count("repeated") == 0
    assert await rows(url) == await rows(f"sqlite:///{tmp_path}/undisturbed.sqlite3")


@pytest.mark.chaos
@pytest.mark.slow
async def test_kill_9_loses_and_duplicates_nothing(
    kafka: KafkaUnderTest, log: KafkaSettings, url: str, tmp_path: Path
) -> None:
    """Processes that are killed after their first, second, third… transaction leave the same rows as one that was not
    killed."""
    if kafka.settings("x").security_protocol != "PLAINTEXT":
        pytest.skip("the child process knows plain clusters only")
    lives = [whole_life(f"n{number}") for number in range(3)]
    await publish(log, [record for life in lives for record in life.log])
    alone = f"sqlite:///{tmp_path / 'undisturbed.sqlite3'}"
    async with running(log, alone) as undisturbed:
        await undisturbed.caught_up()
    for transactions in range(1, 5):
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.contract.history.child", log.bootstrap_servers, log.topic_prefix, url),
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        try:
            async with asyncio.timeout(60):
                for _ in range(transactions):
                    assert await child.stdout.readline() in (b"written\n", b"caught up\n")
        finally:
            child.kill()  # SIGKILL, in the middle of the next one
            await child.wait()
    async with running(log, url, batch=3) as last:
        await last.caught_up()
        assert last.count("repeated") == 0
        assert last.count("written") > 0, "the children finished the work before they were interrupted"
    assert await rows(url) == await rows(alone)


async def test_rebuild_ends_in_the_same_rows(log: KafkaSettings, url: str) -> None:
    """A rebuild while the projection runs deletes all rows and folds the log again."""
    await publish(log, whole_life().log)
    async with running(log, url) as one:
        await one.caught_up()
        before = await rows(url)
        await one.history.rebuild()
        await one.caught_up()
        assert await rows(url) == before
        assert one.count("written") == 2 * len(whole_life().log)


async def test_two_replicas_write_once(log: KafkaSettings, url: str) -> None:
    """Two histories on one database: every record is written once, and when one ends the other takes over."""
    await publish(log, whole_life("n0").log)
    async with running(log, url, ready_after_s=1) as first:
        await first.caught_up()
        async with running(log, url, ready_after_s=1) as second:

            async def ready() -> bool:
                return second.health.component("history").ready

            await eventually(ready)
            assert (
                await second.history.reader.interaction(Reach.whole("acme"), "n0-i")
            ).interaction.state == "completed"
            await publish(log, whole_life("n1").log)

            async def written() -> bool:
                return first.count("written") + second.count("written") >= 2 * len(whole_life().log)

            await eventually(written)
            first.task.cancel()
            await asyncio.wait({first.task})
            await publish(log, whole_life("n2").log)

            async def taken_over() -> bool:
                return first.count("written") + second.count("written") >= 3 * len(whole_life().log)

            await eventually(taken_over)
            assert first.count("written") + second.count("written") == 3 * len(whole_life().log)
            listed = await second.history.reader.interactions(
                Reach.whole("acme"), ingest_pb2.ListInteractionsRequest(state="completed")
            )
            assert len(listed.interactions) == 3
            assert first.count("repeated") + second.count("repeated") == 0


async def test_records_are_written_together_unless_someone_watches_them(log: KafkaSettings, url: str) -> None:
    """After the log has been read once, a transaction waits for its time or its number of records; a watched
    conversation does not wait."""
    one, two = Life(name="one"), Life(name="two")
    for life in (one, two):
        life.opened()
    await publish(log, [*one.log, *two.log])
    async with running(log, url, batch=50, commit_s=3600) as history:
        await history.caught_up()
        one.log.clear()
        for number in range(20):
            one.said(f"{number}", message_id=f"m{number}")
        await publish(log, one.log)
        two.log.clear()
        two.said("watched", message_id="w1")
        watched = aiter(history.history.reader.watch(lambda: Reach.whole("acme"), "two-c", -1))
        assert isinstance(watched, AsyncGenerator)
        first = asyncio.ensure_future(anext(watched))
        await eventually(lambda: is_watched(history))
        before = history.count("written")
        assert before == 2
        await publish(log, two.log)
        async with asyncio.timeout(30):
            assert (await first).message.text == "watched"
        assert history.count("written") == 2 + len(one.log) + len(two.log)
        await watched.aclose()
        for number in range(50):
            one.said(f"{number}", message_id=f"n{number}")
        await publish(log, one.log[20:])

        async def full() -> bool:
            return history.count("written") >= 2 + 21 + 50

        await eventually(full)


async def is_watched(history: Running) -> bool:
    return bool(history.history.reader._watched)
