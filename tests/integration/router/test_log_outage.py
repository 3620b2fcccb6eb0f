"""Kafka is away for longer than a session's lease: every connected agent stays signed in, on a broker of its own."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.cli.desk import Desk
from tests.contract.lane.test_outages import Outages
from tests.integration.router.stand import POOL, Bench, a_bench, a_configuration, a_router, a_token, settings_for

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(120)]
LEASE_MS = 3_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Outages]:
    outages = Outages(tmp_path / "broker")
    try:
        yield outages
    finally:
        outages.close()


async def test_an_outage_of_the_log_ends_no_session(broker: Outages, prefix: str, tmp_path: Path) -> None:
    """The broker is paused, and then it is stopped and started. After each outage the agent gets an offer on the same stream."""
    configuration = a_configuration()
    configuration.pools[0].CopyFrom(config_pb2.Pool(name=POOL, session_lease_ms=LEASE_MS, assignment_grace_ms=20_000))
    kafka = broker.settings(prefix)
    async with a_bench(kafka) as bench, a_router(settings_for(kafka, tmp_path, lease_renewal_ms=500)) as router:
        await bench.configure(configuration)
        async with Desk(router.endpoints["grpc"], a_token("agent-0"), "agent-0") as desk:
            await desk.next("welcome")

            os.kill(pid_of(broker), signal.SIGSTOP)
            await asyncio.sleep(1.5 * LEASE_MS / 1000)  # the outage itself: no condition can be awaited
            os.kill(pid_of(broker), signal.SIGCONT)
            await works(bench, desk)
            broker.stop()
            await asyncio.sleep(LEASE_MS / 1000)
            await broker.start()
            await works(bench, desk)
            assert pb.AGENT_STATE_OFFLINE not in {event.agent_state_changed.after for event in bench.events}


def pid_of(broker: Outages) -> int:
    assert broker.pid is not None
    return broker.pid


async def works(bench: Bench, desk: Desk) -> None:
    """Check that the agent is offered an interaction on the stream that they have."""
    interaction = await bench.enqueue()
    offered = (await desk.next("offered")).offered
    assert offered.interaction.interaction_id == interaction
    assert (await desk.accept(offered.offer_id)).ok
    await bench.until(lambda: "assigned" in bench.story(interaction))
