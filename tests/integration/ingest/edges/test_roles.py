"""The roles of ingest as processes of their own: each starts, and reports ready, only what it runs."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.chassis.errors import ChaparError
from services.chassis.lifecycle import leaves
from services.ingest.settings import ROLES, IngestSettings
from services.ingest.wiring import topics
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.ingest.edges.conftest import Edges, ingest, install, routed
from tests.integration.ingest.edges.test_grpc import a_customer
from tests.integration.ingest.edges.test_with_lanes import conversation

KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}


def parts(edges: Edges) -> set[str]:
    """Return the components of a process's readiness."""
    return set(edges.service.health._components)


@pytest.mark.kafka
async def test_three_processes_are_one_service(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """A message arrives at the edge, the lanes open its conversation, history writes it, and the edge reads it."""
    settings = kafka.settings(prefix)
    await install(settings, routed())
    options: dict[str, Any] = {"history": True, "database_url": f"sqlite:///{tmp_path / 'history.sqlite3'}"}
    async with (
        ingest(settings, tmp_path, role="history", instance="history-0", **options) as history,
        ingest(settings, tmp_path, role="lanes", instance="lanes-0", **options) as lanes,
        ingest(settings, tmp_path, role="edge", instance="edge-0", **options) as edge,
    ):
        shared = {"personal keys"}
        assert parts(history) - shared == {"kafka", "history"}
        fetchers = {"fetcher", "fetcher again"}
        shares = {"kafka", "configuration", "accounts"}
        assert parts(lanes) - shared == {*shares, "intake lane", "relay", "sender lane", *fetchers}
        assert parts(edge) - shared >= {"kafka", "configuration", "accounts", "web chat tail", "verdicts"}
        assert parts(edge).isdisjoint({"history", "intake lane", "relay", "sender lane", *fetchers})
        assert set(edge.service.endpoints.known) >= {"ops", "grpc", "http", "smtp"}
        assert set(lanes.service.endpoints.known) == set(history.service.endpoints.known) == {"ops"}
        _, opened = await a_customer(edge, "customer-1")
        found = await conversation(edge, opened, 1)
        assert found.messages[0].message.text == "hello"


@pytest.mark.kafka
async def test_edges_remain_ready_while_lanes_move(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """A second replica joins and leaves, so the lanes of the first are restored twice. Its edges need no lane of their own."""
    settings = kafka.settings(prefix)
    await install(settings, routed())
    async with ingest(settings, tmp_path, role="all", instance="ingest-0") as first:
        told: list[bool] = []
        restored: list[str] = []
        first.service.health.on_change(told.append)
        lane = first.service.health.component("intake lane")
        changed = lane._changed

        def note() -> None:
            restored.append(lane.reason)
            changed()

        lane._changed = note
        async with ingest(settings, tmp_path, role="all", instance="ingest-1"):
            pass
        async with asyncio.timeout(30):
            while restored.count("restoring") == 0 or lane.reason:  # noqa: ASYNC110 - health reports no change that leaves it ready
                await asyncio.sleep(0.05)
        assert told == [True]


@pytest.mark.kafka
@pytest.mark.parametrize("role", ["edge", "history"])
async def test_processes_with_different_databases_are_refused(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edge would read a history that no process writes."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    settings = kafka.settings(prefix)
    await install(settings, routed())
    with pytest.raises(BaseExceptionGroup) as caught:
        async with ingest(settings, tmp_path, role=role, history=True):
            pass
    (error,) = leaves(caught.value)
    assert isinstance(error, ChaparError)
    assert error.reason == "DATABASE_URL"


def test_an_option_of_the_command_line_chooses_the_role() -> None:
    """It overrides the variable."""
    env = {**KAFKA, "CHAPAR_INGEST_ROLE": "lanes"}
    assert IngestSettings.from_args([], KAFKA).role == "all"
    assert IngestSettings.from_args([], env).role == "lanes"
    assert IngestSettings.from_args(["--role", "history"], env).role == "history"
    with pytest.raises(SystemExit):
        IngestSettings.from_args(["--role", "router"], env)


def test_the_roles_together_touch_the_topics_of_all() -> None:
    """A process waits for its own topics only."""
    of = {role: topics(IngestSettings.model_construct(role=role, history=True)) for role in ROLES}
    assert of["edge"] | of["lanes"] | of["history"] == of["all"]
    assert all(of[role] < of["all"] for role in ("edge", "lanes", "history"))
