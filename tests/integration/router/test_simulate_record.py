"""`chapar simulate record` writes the records of the topics to a file that can be simulated."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.testing import CliRunner

from services.chassis.topics import full_name
from services.cli.__main__ import app
from services.cli.commands.simulate import EVENTS
from services.router.simulation import recorded
from tests.fixtures.broker import KafkaUnderTest
from tests.unit.router.simulation.test_cli import ANSWERED, LEFT

pytestmark = pytest.mark.kafka


async def _recorded_events(kafka: KafkaUnderTest, prefix: str) -> None:
    settings = kafka.settings(prefix)
    topic = full_name(prefix, EVENTS)
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 2, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(**settings.client_options())
    await producer.start()
    try:
        for partition, events in enumerate((ANSWERED, LEFT)):
            for value in events:
                await producer.send_and_wait(topic, value, partition=partition)
    finally:
        await producer.stop()


def test_events_of_the_topics_become_arrivals(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One customer was answered and one left, from two partitions; with an earlier `--to` the file is empty."""
    asyncio.run(_recorded_events(kafka, prefix))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap)
    monkeypatch.setenv("CHAPAR_TOPIC_PREFIX", prefix)
    path = tmp_path / "a.csv"
    done = CliRunner().invoke(app, ["simulate", "record", str(path)])
    assert (done.exit_code, done.output.splitlines()[0].startswith("2 arrivals in ")) == (0, True), done.output
    found = recorded.read(path, start=None, duration=60_000)
    assert sorted(found.patience.tolist()) == [20_000, 30_000]
    assert found.censored.tolist() == [True, False]
    earlier = CliRunner().invoke(
        app, ["simulate", "record", str(path), "--to", "2025-01-01T00:00Z", "--from", "2020-01-01T00:00Z"]
    )
    assert earlier.output.startswith("0 arrivals in ")
