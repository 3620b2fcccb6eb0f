"""The embedded broker's template and its Java options reach the broker."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.chassis.kafka.clients import admin_client
from services.cli.local.broker.embedded import EmbeddedBroker
from services.cli.local.broker.machine import measure
from services.cli.local.broker.server import BrokerServer
from services.cli.local.broker.settings import CHECKOUT, BrokerSettings
from services.cli.local.broker.sizing import choose
from tests.fixtures.broker import plain_settings
from tests.integration.broker.test_broker_suite import end_of, producer_of, read, wait_visible

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TIME_OUT_MS, FREED_WITHIN_S = 1000, 15.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose broker is stopped after the test."""
    yield tmp_path / "home"
    BrokerServer(BrokerSettings(home=tmp_path / "home")).reset()


def java_options(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


async def test_the_broker_knows_the_settings_of_transactions(home: Path) -> None:
    """Kafka ignores a setting whose name it does not know, so the broker is asked."""
    async with EmbeddedBroker(BrokerSettings(home=home)) as broker:
        async with admin_client(plain_settings(broker.bootstrap, ""), client_id="test") as admin:
            [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
        values = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert values["add.partitions.to.txn.retry.backoff.ms"] == "2"
    # Less, and a broker that starts may end a transaction without its markers: see deploy/kafka/README.md.
    assert values["transaction.abort.timed.out.transaction.cleanup.interval.ms"] == "10000"


async def test_an_abandoned_transaction_ends_soon_after_its_time_out(home: Path) -> None:
    """A process that died leaves a transaction open, and no other process takes over. Its records stay invisible."""
    async with EmbeddedBroker(BrokerSettings(home=home)) as broker:
        settings = plain_settings(broker.bootstrap, "abandoned.")
        async with admin_client(settings, client_id="test") as admin:
            await admin.create_topics([NewTopic("abandoned.topic", 1, 1)])
            await wait_visible(admin, "abandoned.topic", 1)
        dead = AIOKafkaProducer(
            **settings.client_options(), transactional_id="abandoned.dead", transaction_timeout_ms=TIME_OUT_MS
        )
        await dead.start()
        await dead.begin_transaction()
        partition = (await dead.send_and_wait("abandoned.topic", b"never", partition=0)).topic_partition
        begun = time.monotonic()
        async with producer_of(settings) as alive:
            await alive.send_and_wait("abandoned.topic", b"waits", partition=0)
        assert await end_of(settings, partition, "read_committed") == 0
        async with asyncio.timeout(TIME_OUT_MS / 1000 + FREED_WITHIN_S):
            while not await end_of(settings, partition, "read_committed"):  # noqa: ASYNC110 - only asking shows it
                await asyncio.sleep(0.05)
        assert time.monotonic() - begun > TIME_OUT_MS / 1000 / 2
        assert await read(settings, "abandoned.topic", "read_committed") == [b"waits"]
        await dead.stop()


async def test_the_choice_is_stated_and_used(home: Path) -> None:
    """Without settings, the machine decides."""
    async with EmbeddedBroker(BrokerSettings(home=home)) as broker:
        chosen = choose(measure())
        assert broker.sizing.startswith(str(chosen).partition(";")[0])
        assert broker.pid is not None
        options = java_options(broker.pid)
    assert f"-Xmx{chosen.heap}" in options
    assert ("-XX:TieredStopAtLevel=1" in options) == (not chosen.full_compiler)


@pytest.mark.parametrize(
    ("full", "words"),
    [("true", "heap 200m, full compiler; as set"), ("false", "heap 200m, first compiler only; as set")],
)
def test_settings_override_the_choice(home: Path, full: str, words: str) -> None:
    """`make kafka` and its status say so."""
    environment = {
        **os.environ,
        "CHAPAR_HOME": str(home),
        "CHAPAR_KAFKA_HEAP": "200m",
        "CHAPAR_KAFKA_FULL_COMPILER": full,
    }

    def run(what: str) -> str:
        command = [sys.executable, "-m", "services.cli.local.broker", what]
        return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True).stdout

    assert words in run("start")
    assert words in run("status")
    running = BrokerServer(BrokerSettings(home=home)).running()
    assert running is not None
    options = java_options(running.pid)
    assert "-Xmx200m" in options
    assert ("-XX:TieredStopAtLevel=1" in options) == (full == "false")
