"""sla as an operator runs it: `python -m services.sla`, killed without warning, started again, stopped by SIGTERM."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chapar.router.v1 import records_pb2 as router
from chapar.sla.v1 import sla_pb2 as sla
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.sla.world import World, a_world, configuration, eventually, target

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
WORKS = 200


@asynccontextmanager
async def a_process(world: World, home: Path, name: str, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the service as a child process, with more environment variables; it is ready when the block begins, and gone when it ends."""
    endpoints = home / f"{name}.json"
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": world.kafka.bootstrap_servers,
        "CHAPAR_TOPIC_PREFIX": world.kafka.topic_prefix,
        "CHAPAR_SLA_INSTANCE": name,
        "CHAPAR_SLA_INSECURE_DEV": "true",
        "CHAPAR_SLA_DRAIN_S": "0",
        "CHAPAR_SLA_JWT__SECRET_FILE": str(world.secret_file),
        "CHAPAR_SLA_ROUTER_ADDRESS": world.router_address,
        "CHAPAR_ENDPOINTS_FILE": str(endpoints),
        **more,
    }
    log = home / f"{name}.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.sla", env=environment, stdout=out, stderr=out
        )
        try:
            await eventually(endpoints.exists, within_s=60, why=log.read_text)
            address = json.loads(endpoints.read_text())["ops"]
            await eventually_ready(address, why=log.read_text)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def eventually_ready(address: str, why: Callable[[], str]) -> None:
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    until = loop.time() + 60
    answer = b""
    while b" 200 " not in answer.split(b"\r\n")[0]:
        assert loop.time() < until, f"{answer!r}\n{why()}"
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_after_a_kill_each_occurrence_is_reported_exactly_once(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path
) -> None:
    """Two hundred deadlines; kill -9 while they are warned about and breached; another process takes over. No
    occurrence is lost, doubled or early; every priority is raised; SIGTERM ends the process with 0."""
    async with a_world(kafka.settings(prefix), tmp_path) as world:
        await world.apply(configuration(target("PICK_UP", 2_000, 3_000, 0.5, escalate=1)))
        async with a_process(world, tmp_path, "sla-1") as first:
            async with asyncio.TaskGroup() as group:
                for number in range(WORKS):
                    group.create_task(world.route(f"i{number}", queued=router.InteractionQueued()))
            await eventually(lambda: any(e.kind == sla.SLA_EVENT_KIND_WARNED for e in world.events))
            os.kill(first.pid, signal.SIGKILL)
        async with a_process(world, tmp_path, "sla-2") as second:
            await eventually(lambda: broken(world) >= WORKS, within_s=60, why=lambda: broken(world))
            await eventually(lambda: raised(world) == warned(world), within_s=30)
            second.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(second.wait(), 30) == 0, (tmp_path / "sla-2.log").read_text()
        told = Counter((e.interaction_id, e.kind, e.level) for e in world.events)
        assert set(told.values()) == {1}
        assert len(told) == 4 * WORKS
        for event in world.events:
            if event.kind in (sla.SLA_EVENT_KIND_DESIRED_PASSED, sla.SLA_EVENT_KIND_BREACHED):
                due = event.desired_at_ms if event.level == sla.SLA_LEVEL_DESIRED else event.adequate_at_ms
                assert event.occurred_at_ms >= due


def broken(world: World) -> int:
    return sum(e.kind == sla.SLA_EVENT_KIND_BREACHED for e in world.events)


def warned(world: World) -> set[str]:
    return {e.event_id for e in world.events if e.kind == sla.SLA_EVENT_KIND_WARNED}


def raised(world: World) -> set[str]:
    return {request.idempotency_key for _, request in world.router.calls}
