"""Keys of persons on a real Kafka: made once, followed by other processes, destroyed permanently."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from chapar.common.v1.privacy_pb2 import PersonalKey
from chapar.ingest.v1 import records_pb2
from services.chassis.cluster_topics import apply as apply_topics
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.chassis.privacy.keyring import Keyring
from services.chassis.privacy.rewrap import Rewrapping
from services.chassis.privacy.sealing import DataKey, is_erased, seal, unseal
from tests.fakes.privacy import a_keyring
from tests.fixtures.broker import EmbeddedTestBroker, KafkaUnderTest

pytestmark = pytest.mark.kafka


@pytest.fixture
async def cluster(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await apply_topics(settings)
    return settings


async def test_others_open_a_sealed_record_even_if_it_arrives_before_the_key(cluster: KafkaSettings) -> None:
    async with a_keyring(cluster, name="one") as one, a_keyring(cluster, name="two") as two:
        for number in range(50):
            owner = f"identity-{number}"
            record = records_pb2.InboundRecord(tenant="acme")
            record.message.text = f"hello {number}"
            value = seal(record, await one.ensure("acme", owner), "inbound.v1", b"k")
            await two.ready([value])
            read = records_pb2.InboundRecord.FromString(value)
            assert unseal(read, two, "inbound.v1", b"k") is not None
            assert read.message.text == f"hello {number}"


async def test_a_key_is_made_once_by_many_callers_and_found_by_others(cluster: KafkaSettings) -> None:
    async with a_keyring(cluster, name="one") as one, a_keyring(cluster, name="two") as two:
        made = await asyncio.gather(*(one.ensure("acme", "i") for _ in range(20)))
        assert len({key.key_id for key in made}) == 1
        await two.settle()
        assert (await two.ensure("acme", "i")).key_id == made[0].key_id
        assert (await two.ensure("other", "i")).key_id != made[0].key_id


async def test_keys_that_two_processes_make_for_one_person_both_open_and_are_both_destroyed(
    cluster: KafkaSettings,
) -> None:
    async with a_keyring(cluster, name="one") as one, a_keyring(cluster, name="two") as two:
        made = await asyncio.gather(one.ensure("acme", "i"), two.ensure("acme", "i"))
        assert made[0].key_id != made[1].key_id
        values = [a_sealed(key) for key in made]
        for keys in (one, two):
            await keys.ready(values)
            assert all(keys.find(key.key_id) is not None for key in made)
            await keys.settle()  # until a process has read the topic to its end, it goes on with the key that it made
        assert len({(await keys.ensure("acme", "i")).key_id for keys in (one, two)}) == 1
        assert await one.destroy("acme", ["i"]) == 2
        for keys in (one, two):
            await keys.settle()
            assert all(keys.find(key.key_id) is None for key in made)


async def test_a_key_is_used_before_it_is_read_back_and_not_after_its_destruction(cluster: KafkaSettings) -> None:
    async with a_keyring(cluster, name="one") as one, a_keyring(cluster, name="two") as two:
        for number in range(20):
            key = await one.ensure("acme", f"i{number}")
            assert one.find(key.key_id) == key
            assert await two.destroy("acme", [key.owner]) == 1
            await one.settle()
            assert one.find(key.key_id) is None
            assert one.current("acme", key.owner) is None


async def test_a_destroyed_key_is_gone_everywhere_and_the_next_one_is_new(
    cluster: KafkaSettings, tmp_path: Path
) -> None:
    files = [tmp_path / "one.sqlite3", tmp_path / "two.sqlite3"]
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(a_keyring(cluster, name=f.stem, file=f)) for f in files]
        key, kept = await one.ensure("acme", "i"), await one.ensure("acme", "j")
        await two.settle()
        record = records_pb2.InboundRecord(tenant="acme")
        record.message.text = "needle"
        value = seal(record, key, "inbound.v1", b"k")
        other = seal(records_pb2.InboundRecord(tenant="acme"), kept, "inbound.v1", b"k")
        assert await two.destroy("acme", ["i", "unknown"]) == 1
        assert await two.destroy("acme", ["i"]) == 0
        await one.settle()
        for keys in (one, two):
            await keys.ready([value, other])
            assert keys.find(key.key_id) is None
            assert keys.find(kept.key_id) is not None
            read = records_pb2.InboundRecord.FromString(value)
            assert unseal(read, keys, "inbound.v1", b"k") is None
            assert is_erased(read)
        fresh = await one.ensure("acme", "i")
        assert fresh.key_id != key.key_id
    for file in files:
        assert key.key_id not in file.read_bytes()
        assert kept.key_id in file.read_bytes()
    async with a_keyring(cluster, name="three") as three:
        assert three.find(key.key_id) is None
        await three.ready([value])
        assert three.find(fresh.key_id) is not None


async def test_a_restart_continues_at_the_same_offset(cluster: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "keys.sqlite3"
    async with a_keyring(cluster, file=file) as keys:
        key = await keys.ensure("acme", "i")
    async with a_keyring(cluster, file=file) as keys:
        assert keys.current("acme", "i") == key
    file.write_bytes(b"no database" * 1000)
    async with a_keyring(cluster, file=file) as keys:
        assert keys.current("acme", "i") == key


OLD, NEW = b"o" * 40, b"n" * 40


def a_sealed(key: DataKey, text: str = "needle") -> bytes:
    record = records_pb2.InboundRecord(tenant="acme")
    record.message.text = text
    return seal(record, key, "inbound.v1", b"k")


async def test_a_master_key_is_replaced_while_all_processes_continue_to_read(cluster: KafkaSettings) -> None:
    """Two roll-outs, append and then put first; two replicas wrap again at once; then the old key is gone."""
    async with AsyncExitStack() as stack:

        async def pod(name: str, *masters: bytes) -> Keyring:
            return await stack.enter_async_context(a_keyring(cluster, name=name, masters=masters))

        before, appended = await pod("before", OLD), await pod("appended", OLD, NEW)
        made = [await appended.ensure("acme", f"identity-{number}") for number in range(20)]
        await before.settle()
        values = [a_sealed(key) for key in made]
        first, second = await pod("first", NEW, OLD), await pod("second", NEW, OLD)
        by_new = await first.ensure("acme", "newcomer")
        await asyncio.gather(*(Rewrapping(each, Metrics()).once() for each in (first, second)))
        assert await Rewrapping(first, Metrics()).once() == (0, 0)
        await appended.ready([*values, a_sealed(by_new)])
        await before.settle()
        await before.ready(values)  # it does not know the new master key, and continues with the keys that it had read
        after = await pod("after", NEW)
        await after.ready(values)
        assert all(after.find(key.key_id) is not None for key in (*made, by_new))
        assert await after.ensure("acme", "identity-3") == made[3]


async def test_keys_of_an_unknown_master_key_are_waited_for_and_reported(cluster: KafkaSettings) -> None:
    """A roll-out in the wrong order ends no process, loses no record, and makes no second key."""
    said: list[tuple[bool, str]] = []
    async with (
        a_keyring(cluster, name="old", masters=(OLD,)) as old,
        a_keyring(cluster, name="both", masters=(NEW, OLD)) as both,
        a_keyring(cluster, name="new", masters=(NEW,), say=lambda *now: said.append(now)) as new,
    ):
        assert said[0][0] is False
        assert said[-1] == (True, "")
        key = await old.ensure("acme", "i")
        value = a_sealed(key)
        await new.settle()
        with pytest.raises(OSError, match="master key"):
            await new.ready([value])
        assert said[-1][0] is False
        assert "personal.key_files" in said[-1][1]
        with pytest.raises(BrokerUnavailable, match="master key"):
            await new.ensure("acme", "i")
        assert await Rewrapping(new, Metrics()).once() == (0, 1)
        assert await Rewrapping(both, Metrics()).once() == (1, 0)
        await new.settle()
        await new.ready([value])
        assert (await new.ensure("acme", "i")).key_id == key.key_id
        assert said[-1] == (True, "")


async def test_a_key_that_is_wrapped_again_while_it_is_destroyed_stays_destroyed(cluster: KafkaSettings) -> None:
    async with a_keyring(cluster, name="one") as one, DurableProducer(cluster, client_id="late") as late:
        key = await one.ensure("acme", "i")
        value = a_sealed(key)
        await one.settle()
        stored = one.store.find(key.key_id)
        assert stored is not None
        again = PersonalKey(tenant="acme", owner="i", wrapped=stored.wrapped, created_at_ms=1)
        await one.destroy("acme", ["i"])
        await late.publish("personal.keys.v1", key.key_id, again.SerializeToString(), partition=0)
        await one.settle()
        await one.ready([value])
        assert one.find(key.key_id) is None
        assert one.current("acme", "i") is None

        # As in the topic's last record, which is what compaction leaves for later readers.
        seen: list[bool] = []
        async with asyncio.timeout(20), aclosing(tail(cluster, "personal.keys.v1")) as records:
            async for record in records:
                if record.key == key.key_id:
                    seen.append(record.value is not None)
                if seen == [True, False, True, False]:
                    break


@pytest.mark.slow
async def test_while_the_broker_is_away_no_record_is_treated_as_erased(
    own_kafka: EmbeddedTestBroker, prefix: str
) -> None:
    cluster = own_kafka.settings(prefix)
    await apply_topics(cluster)
    async with a_keyring(cluster, name="one") as one:
        key = await one.ensure("acme", "i")
        value = seal(records_pb2.InboundRecord(tenant="acme"), key, "inbound.v1", b"k")
        unknown = value.replace(key.key_id, b"\x07" * 16)
        await asyncio.to_thread(own_kafka.kill)
        await one.ready([value])  # a key in memory stays known
        with pytest.raises(OSError, match="cannot be read"):
            await one.ready([unknown])
        await asyncio.to_thread(own_kafka.start)
        async with asyncio.timeout(60):
            while True:
                try:
                    await one.ready([unknown])
                except OSError:
                    continue
                break
        assert one.find(b"\x07" * 16) is None
