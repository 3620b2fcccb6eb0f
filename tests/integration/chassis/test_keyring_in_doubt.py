"""A topic that lacks keys which were read from it, and a file of keys that cannot be trusted: no key is treated as destroyed by mistake."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from chapar.common.v1.privacy_pb2 import PersonalKey
from chapar.ingest.v1 import records_pb2
from services.chassis.clock import system_clock
from services.chassis.cluster_topics import apply as apply_topics
from services.chassis.errors import ChaparError
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.chassis.privacy.keyring import TOPIC, Keyring
from services.chassis.privacy.keystore import STALE_MS, KeyStore
from services.chassis.privacy.sealing import DataKey, seal
from tests.contract.lane.real import eventually
from tests.fakes.privacy import a_keyring
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]
REFUSED = "chapar_personal_keys_refused"


@pytest.fixture
async def cluster(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await apply_topics(settings)
    return settings


async def recreated(cluster: KafkaSettings, strangers: int = 0) -> None:
    """Delete the topic of keys and create it again, with some keys of other people."""
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        await admin.delete_topics([cluster.topic_prefix + TOPIC])

        async def gone() -> bool:
            return cluster.topic_prefix + TOPIC not in await admin.list_topics()

        await eventually(gone, "deleted")
    finally:
        await admin.close()
    await apply_topics(cluster)
    async with DurableProducer(cluster, client_id="strangers") as producer:
        for number in range(strangers):
            value = PersonalKey(tenant="acme", owner=f"stranger-{number}", wrapped=b"w").SerializeToString()
            await producer.publish(TOPIC, b"%16d" % number, value, partition=0)


def sealed_by(key: DataKey) -> bytes:
    return seal(records_pb2.InboundRecord(tenant="acme"), key, "inbound.v1", b"k")


@contextmanager
def edited(file: Path) -> Iterator[sqlite3.Connection]:
    """Open the file of keys, to change it as an accident would."""
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        yield db


async def some_keys(keys: Keyring, count: int = 5) -> list[DataKey]:
    made = [await keys.ensure("acme", f"i{number}") for number in range(count)]
    await keys.settle()  # into its file
    return made


@pytest.mark.parametrize("strangers", [0, 1, 5, 20])
async def test_a_recreated_topic_erases_no_person(cluster: KafkaSettings, tmp_path: Path, strangers: int) -> None:
    """The length of the new topic does not matter: a process that starts with its file is not ready, reports it, and keeps its keys."""
    file = tmp_path / "keys.sqlite3"
    async with a_keyring(cluster, file=file) as keys:
        made = await some_keys(keys)
    await recreated(cluster, strangers)
    metrics = Metrics()
    async with a_keyring(cluster, file=file, metrics=metrics, waits=False) as keys:
        await eventually(lambda: metrics.value(REFUSED) == 1, "refused")
        with pytest.raises(ChaparError, match="was not read"):
            await keys.first(0.5)
        await keys.ready([sealed_by(key) for key in made])
        assert [keys.find(key.key_id) for key in made] == made
        unknown = b"\x07" * 16
        with pytest.raises(OSError, match="read"):
            keys.find(unknown)
        with pytest.raises(OSError, match="read"):
            await keys.ready([sealed_by(made[0]).replace(made[0].key_id, unknown)])
        with pytest.raises(BrokerUnavailable):
            await keys.ensure("acme", "new")
    with KeyStore(file) as store:
        assert store.count() == len(made)


async def test_a_recreated_topic_is_noticed_by_processes_that_follow_it(cluster: KafkaSettings) -> None:
    metrics = Metrics()
    async with a_keyring(cluster, metrics=metrics) as keys:
        made = await some_keys(keys)
        await recreated(cluster)
        await eventually(lambda: metrics.value(REFUSED) == 1, "refused")
        assert [keys.find(key.key_id) for key in made] == made
        with pytest.raises(OSError, match="read"):
            keys.find(b"\x07" * 16)


def _before_the_start_of_the_machine(db: sqlite3.Connection) -> None:
    # As a power cut may leave pages that were never flushed: the progress, but not all keys.
    db.execute("UPDATE progress SET boot = 'another'")
    db.execute("DELETE FROM keys WHERE owner <> 'i0'")


def _too_old(db: sqlite3.Connection) -> None:
    db.execute("UPDATE progress SET at_ms = ?", (system_clock() - STALE_MS - 1,))
    db.execute("DELETE FROM keys WHERE owner <> 'i0'")


def _of_another_version(db: sqlite3.Connection) -> None:
    db.execute("DROP TABLE keys")
    db.execute("PRAGMA user_version = 1")


@pytest.mark.parametrize("accident", [_before_the_start_of_the_machine, _too_old, _of_another_version])
async def test_a_file_in_doubt_is_read_again(
    cluster: KafkaSettings, tmp_path: Path, accident: Callable[[sqlite3.Connection], None]
) -> None:
    """Its keys are available again before the first request, and a destroyed key is not."""
    file = tmp_path / "keys.sqlite3"
    async with a_keyring(cluster, file=file) as keys:
        made = await some_keys(keys)
        await keys.destroy("acme", ["i1"])
    with edited(file) as db:
        accident(db)
    async with a_keyring(cluster, file=file) as keys:
        assert [keys.find(key.key_id) for key in made] == [key if key.owner != "i1" else None for key in made]
    assert not file.with_name("keys.sqlite3.new").exists()
    assert made[1].key_id not in file.read_bytes()
    async with a_keyring(cluster, file=file) as keys:
        assert keys.current("acme", "i4") == made[4]


async def test_a_file_in_doubt_is_kept_when_the_topic_is_not_its_own(cluster: KafkaSettings, tmp_path: Path) -> None:
    """With both accidents at once, nothing is deleted."""
    file = tmp_path / "keys.sqlite3"
    async with a_keyring(cluster, file=file) as keys:
        made = await some_keys(keys)
    with edited(file) as db:
        db.execute("UPDATE progress SET boot = 'another', at_ms = 0")
    await recreated(cluster, 20)
    metrics = Metrics()
    async with a_keyring(cluster, file=file, metrics=metrics, waits=False) as keys:
        await eventually(lambda: metrics.value(REFUSED) == 1, "refused")
        assert [keys.find(key.key_id) for key in made] == made


@pytest.mark.parametrize("how", ["overwritten", "without its table"])
async def test_a_file_that_is_damaged_in_use_is_read_again(cluster: KafkaSettings, tmp_path: Path, how: str) -> None:
    """A key that is missing meanwhile is not treated as destroyed; afterwards all keys are available, also for a new process."""
    file = tmp_path / "keys.sqlite3"
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(a_keyring(cluster, name="other"))
        made = await some_keys(other, 50)
        keys = await stack.enter_async_context(a_keyring(cluster, file=file))
        if how == "overwritten":
            file.write_bytes(b"no database" * 10_000)
        else:
            with edited(file) as db:
                db.execute("DROP TABLE keys")
        for key in made:  # none of them is in memory yet
            with pytest.raises(OSError, match="personal keys"):
                keys.find(key.key_id)

        async def back() -> bool:
            try:
                await keys.ready([sealed_by(key) for key in made])
            except OSError:
                return False
            return True

        await eventually(back, "read again")
        assert [keys.find(key.key_id) for key in made] == made
        assert keys.find(b"\x07" * 16) is None
        await keys.ensure("acme", "after")
    async with a_keyring(cluster, file=file) as keys:
        assert [keys.find(key.key_id) for key in made] == made
        assert keys.current("acme", "after") is not None


async def test_keys_made_and_destroyed_while_a_file_is_read_again(cluster: KafkaSettings, tmp_path: Path) -> None:
    """Other processes continue meanwhile; no change is missed."""
    file = tmp_path / "keys.sqlite3"
    async with a_keyring(cluster, name="one", file=file) as one:
        made = await some_keys(one, 30)
    with edited(file) as db:
        db.execute("UPDATE progress SET boot = 'another'")
    async with a_keyring(cluster, name="two") as two, a_keyring(cluster, name="one", file=file, waits=False) as one:
        _, new = await asyncio.gather(two.destroy("acme", [key.owner for key in made[:10]]), two.ensure("acme", "new"))
        await one.first(20)
        await one.settle()
        assert [one.find(key.key_id) for key in made] == [None] * 10 + made[10:]
        assert one.find(new.key_id) == new
