"""`chapar upgrade` on a real broker."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.chassis.cluster_topics import apply as apply_topics
from services.cli.__main__ import app
from services.cli.lane_table import LANES
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


def test_an_installation_without_replicas_finalises_nothing(
    kafka: KafkaUnderTest, prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each partition is named: the version of its next owner is not known. The groups do not exist yet."""
    settings = kafka.settings(prefix)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", settings.bootstrap_servers)
    monkeypatch.setenv("CHAPAR_TOPIC_PREFIX", prefix)
    monkeypatch.chdir(tmp_path)
    asyncio.run(apply_topics(settings))
    done = CliRunner().invoke(app, ["upgrade", "status", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {each["changelog"] for each in found} == {spec.changelog_topic for spec in LANES.values()}
    assert all(each["to_finalise"] == 0 and each["stops"] for each in found)
    assert "has no owner now" in CliRunner().invoke(app, ["upgrade", "status"]).output
    refused = CliRunner().invoke(app, ["upgrade", "finalise", "--yes"])
    assert refused.exit_code == 1
    assert "UPGRADE_RUNS" in refused.output
    assert "`chapar upgrade status` shows 19 more." in " ".join(refused.output.split())
