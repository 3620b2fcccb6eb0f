"""One tenant floods every edge of ingest; another is served as if it were alone. Real sockets, real Kafka."""

from __future__ import annotations  # the async stubs exist in .pyi files only

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.errors import ErrorKind
from services.chassis.grpc.status import from_rpc_error
from services.chassis.tokens import mint
from tests.hostile.grpc_floods import SUBMIT, bearer, repeated_calls, submit_flood, submit_stream_flood, until
from tests.integration.ingest.edges.conftest import Edges, configuration, ingest, install
from tests.integration.ingest.edges.test_http_bad_input import GOOD, WEBHOOK
from tests.integration.ingest.edges.test_thin import signed

pytestmark = pytest.mark.kafka
SCOPES = ("ingest.submit", "conversations.read", "ingest.follow_up", "outbound.send")
GREEDY, MODEST = "greedy", "demo"
RATE, BURST = 20.0, 20.0


@asynccontextmanager
async def two_tenants(kafka: Any, prefix: str, tmp_path: Path, **more: float) -> AsyncIterator[Edges]:
    """Yield a running ingest with small quotas."""
    settings = kafka.settings(prefix)
    for tenant in (MODEST, GREEDY):
        await install(settings, configuration(tenant))
    quotas = {"tenant_rate": RATE, "tenant_burst": BURST, "tenant_wait_s": 0.5, **more}
    async with ingest(settings, tmp_path, **quotas) as running:
        yield running


def token(edges: Edges, tenant: str) -> str:
    return mint(edges.token_secret, "test", tenant, SCOPES)


async def submit(edges: Edges, tenant: str, numbers: range) -> list[str]:
    """Submit one message after another over a separate connection; returns the codes."""
    codes = []
    async with grpc.aio.insecure_channel(edges.service.endpoints["grpc"]) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        for number in numbers:
            request = ingest_pb2.SubmitRequest(idempotency_key=f"m-{number}", native_id=f"n-{number}", text="hello")
            try:
                await stub.Submit(request, metadata=bearer(token(edges, tenant)), timeout=5)
                codes.append("OK")
            except grpc.aio.AioRpcError as error:
                codes.append(error.code().name)
    return codes


@pytest.mark.parametrize("flood", [submit_flood, submit_stream_flood])
async def test_a_tenant_that_floods_delays_no_other(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str], flood: Any
) -> None:
    """All of the other tenant's messages are accepted; of the flood only the quota is, and the rest is refused with a
    time for the retry."""
    async with two_tenants(kafka, prefix, tmp_path) as edges:
        address = edges.service.endpoints["grpc"]
        begun = time.monotonic()
        async with flood(address, token(edges, GREEDY)) as seen:
            await until(lambda: seen.codes["OK"] + seen.reasons["ACCEPTED"] >= BURST)
            await until(lambda: seen.codes["RESOURCE_EXHAUSTED"] + seen.reasons["TENANT_RATE"] >= 3)
            assert await submit(edges, MODEST, range(15)) == ["OK"] * 15
            got_in, took = seen.codes["OK"] + seen.reasons["ACCEPTED"], time.monotonic() - begun
        assert got_in <= BURST + RATE * (took + 0.5) + 1


async def test_a_flood_of_a_tenants_customers_refuses_none_of_its_callers_requests(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """The requests reach the lane, which does not run here: so they are not decided, and not refused for the quota."""
    async with two_tenants(kafka, prefix, tmp_path, verdict_timeout_s=0.2) as edges:
        address = edges.service.endpoints["grpc"]
        async with submit_flood(address, token(edges, GREEDY)) as seen:
            await until(lambda: seen.codes["RESOURCE_EXHAUSTED"] >= 3)
            async with grpc.aio.insecure_channel(address) as channel:
                stub = ingest_pb2_grpc.OutboundServiceStub(channel)
                request = ingest_pb2.CheckRecipientRequest(identity_id="i")
                for _ in range(5):
                    with pytest.raises(grpc.aio.AioRpcError) as caught:
                        await stub.CheckRecipient(request, metadata=bearer(token(edges, GREEDY)), timeout=10)
                    assert from_rpc_error(caught.value).reason == "NOT_DECIDED"


async def test_a_customer_who_floods_refuses_no_other_customer_of_the_tenant(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """They use up half of what their tenant has; a quarter of it takes no large messages, whoever sends them."""
    async with two_tenants(kafka, prefix, tmp_path, sender_rate=0) as edges:
        address = edges.service.endpoints["grpc"]
        metadata = bearer(token(edges, MODEST))

        def flood(number: int) -> ingest_pb2.SubmitRequest:
            # Every other message is large, of a customer who is new.
            who, text = ("loud", "x") if number % 2 else (f"stranger-{number}", "x" * 10_000)
            return ingest_pb2.SubmitRequest(idempotency_key=f"l-{number}", native_id=who, text=text)

        async with repeated_calls(address, SUBMIT, flood, token=token(edges, MODEST), at_once=50) as seen:
            await until(lambda: seen.codes["RESOURCE_EXHAUSTED"] >= 10)
            async with grpc.aio.insecure_channel(address) as channel:
                stub = ingest_pb2_grpc.IngestServiceStub(channel)
                for number in range(6):
                    request = ingest_pb2.SubmitRequest(idempotency_key=f"q-{number}", native_id=f"q-{number}", text="x")
                    await stub.Submit(request, metadata=metadata, timeout=10)


async def test_what_is_beyond_the_quota_is_told_when_to_come_back(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """RESOURCE_EXHAUSTED with RetryInfo by gRPC; 429 with Retry-After by HTTP."""
    async with two_tenants(kafka, prefix, tmp_path) as edges:
        address = edges.service.endpoints["grpc"]
        async with submit_flood(address, token(edges, GREEDY)) as seen:
            await until(lambda: seen.codes["RESOURCE_EXHAUSTED"] >= 3)
            metadata = bearer(token(edges, GREEDY))
            async with grpc.aio.insecure_channel(address) as channel:
                stub = ingest_pb2_grpc.IngestServiceStub(channel)

                async def more() -> None:
                    for number in range(200):
                        request = ingest_pb2.SubmitRequest(
                            idempotency_key=f"f-{number}", native_id=f"i-{number}", text="x"
                        )
                        await stub.Submit(request, metadata=metadata, timeout=5)

                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await more()
            error = from_rpc_error(caught.value)
            assert (error.kind, error.reason) == (ErrorKind.EXHAUSTED, "TENANT_RATE")
            assert error.retry_after_s is not None
            assert await webhook(edges, MODEST, 5) == {200}
        assert await webhook(edges, MODEST, 60) == {200, 429}
        assert edges.service.metrics.value("chapar_edge_refused_total", "webhook", "TENANT_RATE")


async def webhook(edges: Edges, tenant: str, count: int) -> set[int]:
    """Send signed webhooks at the same time and return the status codes; a refused one has a time for the retry."""

    async def post(http: httpx.AsyncClient, number: int) -> int:
        customer = {"id": f"{count}-{number}"}
        body = json.dumps({**GOOD, "message_id": f"{count}-{number}", "customer": customer}).encode()
        url = edges.url(WEBHOOK.replace(f"/{MODEST}/", f"/{tenant}/"))
        answer = await http.post(url, content=body, headers=signed(body))
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) > 0
        return answer.status_code

    async with httpx.AsyncClient(timeout=30) as http:
        return set(await asyncio.gather(*(post(http, number) for number in range(count))))
