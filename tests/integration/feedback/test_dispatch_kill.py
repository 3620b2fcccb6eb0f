"""The dispatcher's process is killed while it hands out many invitations: `python -m services.feedback`, SIGKILL, another process."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from services.chassis.clock import system_clock
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from tests.integration.feedback.conftest import TENANT, OutboundStandIn, a_configuration
from tests.integration.feedback.test_dispatch_backlog import (
    ANSWERED,
    CONCURRENCY,
    INVITATIONS,
    due_invitations,
    keys_of,
    requests_until,
)
from tests.integration.feedback.test_path import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]
_WITHIN_S = 60.0


class Dispatcher:
    """A running process with the role of the dispatcher."""

    def __init__(self, process: asyncio.subprocess.Process, http: httpx.AsyncClient, ops: str) -> None:
        self._process = process
        self._http = http
        self._ops = ops

    async def kill(self) -> None:
        """Kill it with SIGKILL: it says nothing and commits nothing."""
        self._process.kill()
        assert await self._process.wait() == -signal.SIGKILL

    async def waiting(self) -> float:
        """Return the gauge of invitations that wait."""
        text = (await self._http.get(f"http://{self._ops}/metrics")).text
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("chapar_feedback_invitations_waiting ")
        )


@asynccontextmanager
async def a_dispatcher(kafka: KafkaSettings, outbound: str, home: Path, name: str) -> AsyncIterator[Dispatcher]:
    """Run the process; it is ready when the block begins, and gone when it ends."""
    secret, endpoints, log = home / "secret", home / f"{name}.json", home / f"{name}.log"
    secret.write_text("s" * 40)
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "CHAPAR_TOPIC_PREFIX": kafka.topic_prefix,
        "CHAPAR_FEEDBACK_INSTANCE": name,
        "CHAPAR_FEEDBACK_INSECURE_DEV": "true",
        "CHAPAR_FEEDBACK_DRAIN_S": "0",
        "CHAPAR_FEEDBACK_ROLES": json.dumps(["dispatcher"]),
        "CHAPAR_FEEDBACK_PUBLIC_URL": "https://ask.example.com",
        "CHAPAR_FEEDBACK_INGEST_ADDRESS": outbound,
        "CHAPAR_FEEDBACK_JWT__SECRET_FILE": str(secret),
        "CHAPAR_ENDPOINTS_FILE": str(endpoints),
    }
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.feedback", env=environment, stdout=out, stderr=out
        )
    try:
        async with httpx.AsyncClient(timeout=5) as http:

            async def ops() -> str:
                assert process.returncode is None, log.read_text()
                return str(json.loads(endpoints.read_text())["ops"]) if endpoints.exists() else ""

            address = await eventually(ops, bool, _WITHIN_S)

            async def ready() -> str:
                answer = await http.get(f"http://{address}/readyz")
                return "ready" if answer.status_code == httpx.codes.OK else answer.text + log.read_text()

            await eventually(ready, lambda said: said == "ready", _WITHIN_S)
            yield Dispatcher(process, http, address)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_dispatcher_loses_no_invitation_and_repeats_under_the_same_key(
    cluster: KafkaSettings, outbound: OutboundStandIn, tmp_path: Path
) -> None:
    """Ingest has answered 20 requests and has 32 in hand when the process dies. Its successor repeats all that were not answered, under
    the same keys and with the same text, by which ingest knows them: each invitation is handed out once."""
    outbound.answering = ANSWERED
    async with DurableProducer(cluster, client_id="test") as producer:
        await producer.publish("config.v1", TENANT.encode(), a_configuration().SerializeToString())
        async with a_dispatcher(cluster, outbound.address, tmp_path, "feedback-1") as first:
            await due_invitations(producer, system_clock())
            before = await requests_until(outbound, ANSWERED + CONCURRENCY)
            await first.kill()
    before += [outbound.requests.get_nowait() for _ in range(outbound.requests.qsize())]
    await outbound.answer_all()
    async with a_dispatcher(cluster, outbound.address, tmp_path, "feedback-2") as second:
        after = await requests_until(outbound, INVITATIONS, before)
        await eventually(second.waiting, lambda number: number == 0, _WITHIN_S)
    after += [outbound.requests.get_nowait() for _ in range(outbound.requests.qsize())]
    answered = keys_of(before[:ANSWERED])
    unanswered = keys_of(before) - answered
    assert len(unanswered) >= CONCURRENCY
    assert unanswered <= keys_of(after)
    by_key = {request.idempotency_key: request.identity_id for request in (*before, *after)}
    assert by_key == {f"i{number}": f"identity-{number}" for number in range(INVITATIONS)}
    assert len({(request.idempotency_key, request.text) for request in (*before, *after)}) == INVITATIONS
