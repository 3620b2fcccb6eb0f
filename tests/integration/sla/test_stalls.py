"""A deadline is decided when the lane has read what happened before it: not sooner because the lane was stopped, the
log is slow, or the answer is in a transaction that is not yet committed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from chapar.router.v1 import records_pb2 as router
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.clock import system_clock
from services.chassis.kafka.clients import transactional_producer
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.sla.test_process import a_process
from tests.integration.sla.world import World, a_world, configuration, eventually, target

pytestmark = pytest.mark.kafka


@pytest.fixture
async def world(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(kafka.settings(prefix), tmp_path) as made:
        yield made


def kinds(world: World, interaction: str) -> list[str]:
    """Return the kinds of an interaction's events about the adequate level, and about no level."""
    return [kind for _, kind, level in world.told(interaction) if level != "DESIRED" or kind == "MET"]


async def test_a_process_that_stood_still_reads_before_it_decides(world: World, tmp_path: Path) -> None:
    """Forty interactions; the process is stopped; thirty-nine are picked up in time, and their deadlines pass before
    it goes on. They are met, and only the last one is breached."""
    await world.apply(configuration(target("PICK_UP", 4_000, 4_000)))
    names = [f"i{number}" for number in range(40)]
    async with a_process(world, tmp_path, "sla-1") as process:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(world.route(name, queued=router.InteractionQueued()))
        await eventually(lambda: all(kinds(world, name) for name in names))
        os.kill(process.pid, signal.SIGSTOP)
        assert {e.kind for e in world.events} == {sla.SLA_EVENT_KIND_DEADLINE_SET}, "stopped in time"
        picked_up = system_clock()
        async with asyncio.TaskGroup() as group:
            for name in names[1:]:
                assigned = router.InteractionAssigned(agent_id="sara")
                group.create_task(world.route(name, occurred_at_ms=picked_up, assigned=assigned))
        due = max(e.adequate_at_ms for e in world.events)
        assert picked_up < min(e.adequate_at_ms for e in world.events)
        await eventually(lambda: system_clock() > due + 1_000)
        os.kill(process.pid, signal.SIGCONT)
        await eventually(lambda: all(len(kinds(world, name)) > 1 for name in names), why=lambda: world.events)
    assert {name: kinds(world, name)[1:] for name in names} == {
        "i0": ["BREACHED"],
        **{name: ["MET"] for name in names[1:]},
    }


async def test_a_deadline_waits_for_a_transaction_that_is_open(world: World) -> None:
    """The pick-up is in the log in time, and its transaction is committed a second after the deadline."""
    await world.apply(configuration(target("PICK_UP", 1_000, 1_000)))
    writer = transactional_producer(
        world.kafka,
        transactional_id=f"{world.kafka.topic_prefix}slow",
        client_id="slow",
        transaction_timeout_ms=20_000,
        request_timeout_ms=10_000,
        max_batch_bytes=100_000,
    )
    await writer.start()
    try:
        async with world.replica():
            await world.route("i1", queued=router.InteractionQueued())
            await eventually(lambda: kinds(world, "i1"))
            event = router.RoutingEvent(
                event_id="i1-2", tenant="acme", pool="default", occurred_at_ms=system_clock(), epoch=2,
                assigned=router.InteractionAssigned(agent_id="sara"),
            )  # fmt: skip
            event.interaction.interaction_id, event.interaction.conversation_id = "i1", "c-i1"
            event.interaction.queue, event.interaction.channel = "sales", "webchat"
            await writer.begin_transaction()
            await writer.send_and_wait(
                f"{world.kafka.topic_prefix}routing.events.v1", event.SerializeToString(), key=b"c-i1"
            )
            due = world.events[0].adequate_at_ms
            await eventually(lambda: system_clock() > due + 1_000)
            assert kinds(world, "i1") == ["DEADLINE_SET"]
            await writer.commit_transaction()
            await eventually(lambda: len(kinds(world, "i1")) > 1)
    finally:
        await writer.stop()
    assert kinds(world, "i1") == ["DEADLINE_SET", "MET"]


async def test_a_deadline_is_decided_in_time_although_nothing_comes(world: World) -> None:
    """An idle log holds no deadline back: the breach is reported within a second, and without any further record."""
    await world.apply(configuration(target("PICK_UP", 500, 500, 0.5)))
    async with world.replica():
        await world.route("i1", queued=router.InteractionQueued())
        await eventually(partial(ended, world), why=lambda: world.events)
    for event in world.events:
        if event.kind == sla.SLA_EVENT_KIND_BREACHED:
            assert 0 <= event.occurred_at_ms - event.adequate_at_ms < 1_000
    assert kinds(world, "i1") == ["DEADLINE_SET", "WARNED", "BREACHED"]


def ended(world: World) -> bool:
    return "BREACHED" in kinds(world, "i1")


async def test_an_answer_that_comes_after_all_corrects_the_breach(world: World) -> None:
    """The router's event is written after the deadline was decided, and says that the agent was in time."""
    await world.apply(configuration(target("PICK_UP", 500, 500)))
    async with world.replica() as service:
        await world.route("i1", queued=router.InteractionQueued())
        await eventually(partial(ended, world))
        due = world.events[0].adequate_at_ms
        await world.route("i1", occurred_at_ms=due, assigned=router.InteractionAssigned(agent_id="sara"))
        await eventually(lambda: "MET" in kinds(world, "i1"), why=lambda: world.events)
        assert service.metrics.value("chapar_sla_corrections_total", "PICK_UP", "ADEQUATE", "sales") == 1
    assert kinds(world, "i1") == ["DEADLINE_SET", "BREACHED", "CORRECTED", "MET"]
