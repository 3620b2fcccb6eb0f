"""The machine's clock steps ahead and back: agents keep their sessions, agents who left lose theirs, and no decision is of the future."""

from pathlib import Path

import pytest

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.clock import system_clock
from services.cli.desk import Desk
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.router.stand import (
    POOL,
    Bench,
    a_bench,
    a_configuration,
    a_router,
    a_token,
    settings_for,
)
from tests.integration.sla.world import eventually

pytestmark = pytest.mark.kafka
HOUR_MS = 3_600_000


def signed_out(bench: Bench) -> list[str]:
    return [
        event.agent_state_changed.agent_id
        for event in bench.events
        if event.agent_state_changed.after == pb.AGENT_STATE_OFFLINE
    ]


async def works(bench: Bench, desk: Desk) -> None:
    """Check that the agent is offered an interaction, and that the story of it is of now."""
    interaction = await bench.enqueue()
    offered = (await desk.next("offered")).offered
    assert offered.interaction.interaction_id == interaction
    assert (await desk.accept(offered.offer_id)).ok
    await bench.until(lambda: "assigned" in bench.story(interaction))
    assert all(abs(event.occurred_at_ms - system_clock()) < 60_000 for event in bench.events)


async def test_a_clock_that_steps_ends_no_session_and_keeps_none(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path
) -> None:
    wrong = {"ms": 0}
    configuration = a_configuration()
    configuration.pools[0].CopyFrom(config_pb2.Pool(name=POOL, session_lease_ms=2_000, assignment_grace_ms=20_000))
    settings = settings_for(kafka.settings(prefix), tmp_path, lease_renewal_ms=400)
    async with (
        a_bench(kafka.settings(prefix)) as bench,
        a_router(settings, clock=lambda: system_clock() + wrong["ms"]) as router,
    ):
        await bench.configure(configuration)
        address = router.endpoints["grpc"]
        async with Desk(address, a_token("agent-0"), "agent-0") as desk:
            await desk.next("welcome")
            async with Desk(address, a_token("agent-1"), "agent-1") as leaving:
                await leaving.next("welcome")
                wrong["ms"] = HOUR_MS
                await eventually(lambda: router.metrics.value("chapar_clock_refused", "machine") == 1)
                renewed = system_clock() + 2 * 400
                await eventually(lambda: system_clock() > renewed)
                assert signed_out(bench) == []
            await works(bench, desk)
            wrong["ms"] = 0
            await eventually(lambda: signed_out(bench) == ["agent-1"])
            await works(bench, desk)
            assert router.metrics.value("chapar_clock_refused", "machine") == 0
