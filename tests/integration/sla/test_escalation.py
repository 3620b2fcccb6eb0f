"""Actions of deadlines at risk, on a real broker: calls and commands to the router, signed requests to webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from chapar.config.v1 import config_pb2 as config
from chapar.router.v1 import records_pb2 as router
from services.chassis.kafka.tail import tail
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.sla.world import World, a_world, configuration, eventually, target

pytestmark = pytest.mark.kafka
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def world(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(kafka.settings(prefix), tmp_path) as made:
        yield made


@asynccontextmanager
async def a_receiver(answers: list[int]) -> AsyncIterator[tuple[str, list[dict[str, str]], list[bytes]]]:
    """Accept POST requests; answer with the statuses in turn, then 204."""
    headers: list[dict[str, str]] = []
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}
        headers.append(found)
        bodies.append(await reader.readexactly(int(found["content-length"])))
        status = answers.pop(0) if answers else 204
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", headers, bodies


def escalating(url: str = "") -> config.TenantConfiguration:
    """Return a configuration with a pick-up that is escalated when its desired level passes."""
    pick_up = target("PICK_UP", 300, 60_000)
    action = pick_up.escalations.add(at=config.ESCALATION_POINT_DESIRED_PASSED, add_priority=4, queue="rescue")
    action.requirements.add(attribute="senior")
    action.webhook = "duty" if url else ""
    made = configuration(pick_up, target("RESOLUTION", 60_000, 90_000))
    made.queues.add(name="sales", order=config.QUEUE_ORDER_DEADLINE)
    made.queues.add(name="rescue")
    made.sla_policies[0].orders_queue = True
    if url:
        made.webhooks.add(name="duty", url=url, secrets={"signing": "env:CHAPAR_SECRET_ACME__DUTY"})
    return made


async def test_each_action_of_an_escalation_is_called_once(world: World) -> None:
    """Priority, requirement and queue each have their own key that derives from the event. The calls are for waiting
    interactions only, because the target is a pick-up. While the router is unavailable, no call is lost."""
    await world.apply(escalating())
    world.router.refuse = grpc.StatusCode.UNAVAILABLE
    async with world.replica() as service:
        await world.route("i1", queued=router.InteractionQueued())
        await eventually(lambda: world.router.asked, why=lambda: world.told("i1"))
        world.router.refuse = None
        await eventually(lambda: world.router.calls and world.router.moved, why=lambda: world.router.asked)
        escalated = next(e for e in world.events if e.HasField("action"))
        (_, raised), (moved,) = world.router.calls[0], world.router.moved
        assert raised.idempotency_key == f"{escalated.event_id}.priority"
        assert raised.reprioritise == router.Reprioritise(interaction_id="i1", add=4, reason="SLA_ESCALATION")
        assert moved.idempotency_key == f"{escalated.event_id}.route"
        assert (moved.reroute.queue, moved.reroute.waiting_only) == ("rescue", True)
        assert [requirement.attribute for requirement in moved.reroute.add_requirements] == ["senior"]
        await eventually(lambda: service.metrics.value("chapar_sla_escalations_total", "route", "done") == 1)


async def test_the_router_gets_the_pick_up_deadline_in_the_lanes_own_transaction(world: World) -> None:
    """One command, keyed like all commands of its pool, with the due time of the adequate level."""
    await world.apply(escalating())
    async with world.replica():
        await world.route("i1", queued=router.InteractionQueued())
        async with aclosing(tail(world.kafka, "routing.commands.v1")) as commands:
            record = await anext(commands)
    command = router.RoutingCommand.FromString(record.value or b"")
    assert record.key == b"acme/default"
    asked = command.reprioritise
    assert (command.tenant, asked.interaction_id, asked.add) == ("acme", "i1", 0)
    assert asked.due_at_ms == next(e.adequate_at_ms for e in world.events if e.orders_queue)


async def test_a_webhook_notice_is_signed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The webhook that the escalation names receives the notice, with the event's id."""
    monkeypatch.setenv("CHAPAR_SECRET_ACME__DUTY", SECRET)
    async with a_receiver([]) as (url, headers, bodies):
        await world.apply(escalating(url))
        async with world.replica():
            await world.route("i1", queued=router.InteractionQueued())
            await eventually(lambda: bodies, why=lambda: world.told("i1"))
    document = json.loads(bodies[0])
    escalated = next(e for e in world.events if e.HasField("action"))
    assert headers[0]["webhook-id"] == escalated.event_id
    assert headers[0]["webhook-signature"].startswith("v1,")
    assert (document["type"], document["data"]["interaction_id"]) == ("sla.escalated", "i1")


async def test_open_interactions_come_under_a_policy_that_applies_to_open(world: World) -> None:
    """This needs no event of the router: the lane checks the configuration by itself, and after a restart it checks
    the version only once."""
    await world.apply(configuration(target("PICK_UP", 600_000, 900_000)))
    async with world.replica("sla-1"):
        await world.route("i1", queued=router.InteractionQueued())
        await eventually(lambda: world.told("i1"))
        stricter = configuration(target("PICK_UP", 200, 900_000), version=2)
        stricter.sla_policies[0].applies_to_open = True
        await world.apply(stricter)
        await eventually(
            lambda: ("PICK_UP", "DESIRED_PASSED", "DESIRED") in world.told("i1"), why=lambda: world.told("i1")
        )
    async with world.replica("sla-2"):
        await world.route("i1", assigned=router.InteractionAssigned(agent_id="sara"))
        await eventually(lambda: ("PICK_UP", "MET", "ADEQUATE") in world.told("i1"), why=lambda: world.told("i1"))
    assert [what for _, what, _ in world.told("i1")] == ["DEADLINE_SET", "CHANGED", "DESIRED_PASSED", "MET"]
