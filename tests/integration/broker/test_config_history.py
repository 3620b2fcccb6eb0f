"""The versions of a configuration on a real broker: listed, compared, put in force again, and bounded in number."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced
from typer.testing import CliRunner

from chapar.audit.v1.audit_pb2 import AuditRecord
from chapar.config.v1 import config_pb2
from chapar.router.v1.records_pb2 import RoutingCommand
from services.chassis.clock import system_clock
from services.chassis.cluster_topics import apply as apply_topics
from services.chassis.errors import ChaparError
from services.chassis.kafka_settings import KafkaSettings
from services.cli.__main__ import app
from services.cli.config import history, publishing
from services.cli.topic_reader import decoded, read_all
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
SHOP = """\
tenant: {tenant}
default_language: en
time_zone: UTC
pools: [{{name: default}}]
queues: [{{name: sales, pool: default, titles: {{en: Sales}}, offer_timeout: {offer}s}}]
agents: [{{agent_id: ali, display_name: Ali, pool: default}}]
rules: [{{name: all, queue: sales}}]
"""


@pytest.fixture
def cluster(kafka: KafkaUnderTest, prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KafkaSettings:
    """A cluster with topics, to which commands connect by their variables."""
    settings = kafka.settings(prefix)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", settings.bootstrap_servers)
    monkeypatch.setenv("CHAPAR_TOPIC_PREFIX", prefix)
    monkeypatch.chdir(tmp_path)
    asyncio.run(apply_topics(settings))
    return settings


def chapar(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


def as_json(*words: str) -> Any:
    return json.loads(chapar(*words, "--json"))


def applied(tmp_path: Path, offer: int, *words: str, tenant: str = "shop") -> None:
    """Apply a configuration whose sales queue has this time-out in seconds."""
    file = tmp_path / f"{tenant}.yaml"
    file.write_text(SHOP.format(tenant=tenant, offer=offer))
    chapar("config", "apply", str(file), "--actor", f"person-{offer}", *words)


def activations(kafka: KafkaSettings) -> list[int]:
    """Return the versions that the pools were told to activate, in order."""
    records = asyncio.run(read_all(kafka, "routing.commands.v1"))
    return [
        command.activate_configuration.configuration.version
        for _, command in decoded(records, RoutingCommand.FromString)
    ]


def test_versions_are_listed_compared_and_restored(cluster: KafkaSettings, tmp_path: Path) -> None:
    """A rollback is a new version with the old content, for services, pools, history and audit log alike."""
    for offer in (10, 20, 30):
        applied(tmp_path, offer)
    applied(tmp_path, 30)  # unchanged: no version
    listed = as_json("config", "history")
    assert [(each["version"], each["actor"], each["in_force"]) for each in listed] == [
        (3, "person-30", True),
        (2, "person-20", False),
        (1, "person-10", False),
    ]
    assert [each["summary"] for each in listed] == ["queues: 1 changed", "queues: 1 changed", "first version"]
    assert len({each["digest"] for each in listed}) == 3
    assert "  ~ sales offer_timeout: 10s -> 30s" in chapar("config", "diff", "1")
    assert as_json("config", "diff", "2", "1")["differences"] == [
        {"kind": "changed", "section": "queues", "name": "sales", "field": "offer_timeout", "before": "20s", "after": "10s"}
    ]  # fmt: skip

    said = chapar("config", "rollback", "1", "--yes", "--actor", "night-shift")
    assert "Version 4 of shop will have the content of version 1." in said
    assert "  ~ sales offer_timeout: 30s -> 10s" in said
    (current,) = asyncio.run(publishing.current(cluster)).values()
    assert (current.version, current.queues[0].offer_timeout_ms) == (4, 10_000)
    newest = as_json("config", "history")[0]
    assert (newest["version"], newest["actor"], newest["restores"]) == (4, "night-shift", 1)
    assert newest["digest"] == listed[2]["digest"]
    assert activations(cluster) == [1, 2, 3, 4]
    audited = [record for _, record in decoded(asyncio.run(read_all(cluster, "audit.v1")), AuditRecord.FromString)]
    assert (audited[-1].method, audited[-1].subject) == ("chapar config rollback", "night-shift")

    assert "nothing was changed" in chapar("config", "rollback", "1", "--yes")
    assert len(as_json("config", "history")) == 4


def test_a_removed_pool_is_told_the_version_that_removes_it(cluster: KafkaSettings, tmp_path: Path) -> None:
    """Otherwise its shard would keep the work of its queues for ever."""
    file = tmp_path / "shop.yaml"
    for pools in ("{name: default}, {name: night}", "{name: default}", "{name: default}, {name: day}"):
        file.write_text(SHOP.format(tenant="shop", offer=10).replace("{name: default}", pools, 1))
        chapar("config", "apply", str(file), "--yes")
    records = asyncio.run(read_all(cluster, "routing.commands.v1"))
    commands = [command for _, command in decoded(records, RoutingCommand.FromString)]
    told: dict[str, list[int]] = {}
    for command in commands:
        told.setdefault(command.pool, []).append(command.activate_configuration.configuration.version)
    assert {pool: sorted(versions) for pool, versions in told.items()} == {
        "default": [1, 2, 3],
        "night": [1, 2],
        "day": [3],
    }


def test_a_rollback_asks_and_names_what_it_cannot_do(cluster: KafkaSettings, tmp_path: Path) -> None:
    """Without a yes nothing changes. A version that is not kept, and a tenant that is not named, are refused with the choices."""
    applied(tmp_path, 10)
    applied(tmp_path, 20)
    chapar("config", "rollback", "1", code=1)  # the question ends without an answer
    assert [each["version"] for each in as_json("config", "history")] == [2, 1]
    assert "UNKNOWN_VERSION" in chapar("config", "rollback", "9", "--yes", code=1)
    assert "it has 1, 2" in chapar("config", "diff", "9", code=1)
    applied(tmp_path, 10, tenant="bank")
    assert "bank, shop" in chapar("config", "history", code=1)
    assert [each["version"] for each in as_json("config", "history", "--tenant", "bank")] == [1]


def test_apply_says_that_a_removed_policy_goes_on(cluster: KafkaSettings, tmp_path: Path) -> None:
    policy = "sla_policies: [{name: gold, targets: [{kind: resolution, adequate: 2h}]}]\n"
    file = tmp_path / "shop.yaml"
    shown = []
    for policies in (policy, ""):
        file.write_text(SHOP.format(tenant="shop", offer=10) + policies)
        shown.append(chapar("config", "apply", str(file)))
    assert "was removed" not in shown[0]
    assert "SLA policy `gold` was removed, but open interactions keep its deadlines" in shown[1]


def test_a_rollback_passes_the_checks_of_apply(cluster: KafkaSettings, tmp_path: Path) -> None:
    """A content that a newer version of Chapar refuses is not put in force, whoever has accepted it before."""
    applied(tmp_path, 10)
    (wanted,) = (history.content_of(each) for each in asyncio.run(publishing.current(cluster)).values())
    wanted.rules[0].queue = "a queue that does not exist"
    asyncio.run(publishing.apply(cluster, wanted, system_clock))  # without lint, as an older version might have
    applied(tmp_path, 20)
    refused = chapar("config", "rollback", "2", "--yes", code=1)
    assert "version 2 of shop:1: error:" in refused
    assert [each["version"] for each in as_json("config", "history")] == [3, 2, 1]


def test_the_history_is_bounded(cluster: KafkaSettings, tmp_path: Path) -> None:
    """The newest versions of each tenant are kept. Compaction removes the others, because each has a tombstone."""
    applied(tmp_path, 1, tenant="bank")
    for offer in range(1, 6):
        applied(tmp_path, offer, "--keep", "3")
    assert [each["version"] for each in as_json("config", "history", "--tenant", "shop")] == [5, 4, 3]
    records = asyncio.run(read_all(cluster, history.HISTORY))
    assert {record.key for record in records if record.value is None} == {b"shop/1", b"shop/2"}
    assert [each["version"] for each in as_json("config", "history", "--tenant", "bank")] == [1]


async def test_a_version_from_before_the_history_is_kept(
    kafka: KafkaUnderTest, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade finds a version in force that the history does not have: the next version adds both."""
    settings = kafka.settings(prefix)
    await apply_topics(settings)
    old = config_pb2.TenantConfiguration(tenant="shop", version=41, content_hash="x", time_zone="UTC")
    async with AIOKafkaProducer(**settings.client_options()) as producer:
        await producer.send_and_wait(prefix + history.CONFIG, old.SerializeToString(), b"shop")
    assert list(await history.versions_of(settings, "shop")) == [41]
    wanted = config_pb2.TenantConfiguration(tenant="shop", time_zone="Asia/Tehran")
    assert (await publishing.apply(settings, wanted, system_clock, "ali")).version == 42
    known = (await history.kept(settings))["shop"]
    assert {number: each.actor for number, each in known.items()} == {41: "", 42: "ali"}
    assert known[42].summary == "tenant: 1 changed"


async def test_of_two_operators_at_the_same_time_no_change_is_lost(kafka: KafkaUnderTest, prefix: str) -> None:
    """Each version is written once: a call fails because it was fenced, or it sees what the other one wrote."""
    settings = kafka.settings(prefix)
    await apply_topics(settings)

    async def one(zone: str) -> int:
        wanted = config_pb2.TenantConfiguration(tenant="shop", time_zone=zone)
        try:
            return (await publishing.apply(settings, wanted, system_clock, zone)).version
        except (KafkaError, ProducerFenced):
            return 0

    versions = await asyncio.gather(*(one(zone) for zone in ("UTC", "Asia/Tehran", "Europe/Berlin")))
    written = [number for number in versions if number]
    assert len(written) == len(set(written)) > 0
    assert sorted((await history.kept(settings))["shop"]) == sorted(written) == list(range(1, len(written) + 1))


async def test_a_rollback_is_refused_when_the_version_in_force_has_changed(kafka: KafkaUnderTest, prefix: str) -> None:
    """The operator has seen a comparison with another version."""
    settings = kafka.settings(prefix)
    await apply_topics(settings)
    for zone in ("UTC", "Asia/Tehran"):
        await publishing.apply(settings, config_pb2.TenantConfiguration(tenant="shop", time_zone=zone), system_clock)
    wanted = config_pb2.TenantConfiguration(tenant="shop", time_zone="UTC")
    with pytest.raises(ChaparError, match="version 2 of shop has been put in force meanwhile"):
        await publishing.apply(settings, wanted, system_clock, decided=publishing.Decided(1, restores=1))
    assert (await publishing.current(settings))["shop"].version == 2
