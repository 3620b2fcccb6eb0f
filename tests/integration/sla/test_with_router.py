"""The real router and the real sla on a real broker: the deadlines of one interaction from its queue to its
completion."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from chapar.config.v1 import config_pb2 as config
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.kafka.tail import tail
from services.chassis.lifecycle import serving
from services.chassis.tokens import JwtSettings
from services.cli.desk import Desk
from services.sla.settings import SlaSettings
from services.sla.wiring import build
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.router.stand import TENANT, a_bench, a_configuration, a_router, a_token, settings_for
from tests.integration.sla.world import eventually, target

pytestmark = pytest.mark.kafka


async def test_a_warning_raises_the_priority_and_the_agents_replies_meet_the_targets(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path
) -> None:
    """Without an agent, the interaction waits: it gets its due time, a warning fires, and its priority rises at the
    router. Then an agent accepts it, answers and completes it: every target is met, and each occurrence is
    reported once."""
    access = kafka.settings(prefix)
    events: list[sla.SlaEvent] = []

    async def follow() -> None:
        async with aclosing(tail(access, "sla.events.v1")) as records:
            async for record in records:
                events.append(sla.SlaEvent.FromString(record.value or b""))  # noqa: PERF401 - others read the list meanwhile

    def told(kind: "sla.SlaEventKind.ValueType") -> set[str]:
        return {config.TargetKind.Name(e.target)[12:] for e in events if e.kind == kind}

    document = a_configuration()
    document.sla_policies.append(
        config.SlaPolicy(
            name="all",
            orders_queue=True,
            targets=[
                target("PICK_UP", 60_000, 120_000, 0.005, escalate=9),
                target("FIRST_RESPONSE", 60_000, 120_000),
                target("RESOLUTION", 60_000, 120_000),
            ],
        )
    )
    async with a_bench(access) as bench, a_router(settings_for(access, tmp_path)) as router:
        settings = SlaSettings(
            instance="sla-0",
            insecure_dev=True,
            drain_s=0,
            router_address=router.endpoints["grpc"],
            jwt=JwtSettings(secret_file=tmp_path / "jwt"),
            kafka=access,
        )
        await bench.producer.publish("config.v1", TENANT.encode(), document.SerializeToString())
        await bench.configure(document)
        async with serving("sla", settings, build) as service, asyncio.TaskGroup() as group:
            reading = group.create_task(follow())
            await eventually(lambda: service.health.ready, why=service.health.reasons)
            interaction = await bench.enqueue()
            await bench.until(lambda: bench.story(interaction).count("changed") == 2)
            ordered, raised = (e for e in bench.events if e.WhichOneof("event") == "changed")
            due_at = next(e.adequate_at_ms for e in events if e.orders_queue)
            assert (ordered.interaction.due_at_ms, ordered.reason) == (due_at, "SLA_DUE")
            assert (raised.changed.priority, raised.reason) == (9, "SLA_WARNING")
            async with Desk(router.endpoints["grpc"], a_token("agent-0"), "agent-0") as desk:
                await desk.next("welcome")
                offered = (await desk.next("offered")).offered
                assert (await desk.accept(offered.offer_id)).ok
                assert (await desk.reply(interaction, "سلام، بفرمایید")).ok
                assert (await desk.complete(interaction, "solved")).ok
            await eventually(lambda: len(told(sla.SLA_EVENT_KIND_MET)) == 3, why=lambda: events)
            reading.cancel()
    assert told(sla.SLA_EVENT_KIND_WARNED) == {"PICK_UP"}
    assert not told(sla.SLA_EVENT_KIND_DESIRED_PASSED) | told(sla.SLA_EVENT_KIND_BREACHED)
    assert len(events) == 3 + 1 + 3
