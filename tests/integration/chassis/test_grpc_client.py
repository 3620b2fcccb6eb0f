"""Calls between services: tokens, deadlines, retries, replicas that go away."""

from __future__ import annotations  # the async stubs exist in .pyi files only

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.current_call import CURRENT, Call
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.client import chapar_errors, for_tenant, grpc_channel, idempotent
from services.chassis.lifecycle import Service, serving
from services.chassis.metrics import Metrics
from services.chassis.settings import ServiceSettings
from services.chassis.tokens import Caller, TokenSource
from tests.integration.chassis.conftest import SECRET, SERVICE, Probe, build_probe, dev_settings

TOKENS = TokenSource(SECRET, "service:router", ["sla.read"])
ASK = sla_pb2.GetDeadlinesRequest


@asynccontextmanager
async def connected(target: str, **options: Any) -> AsyncIterator[Any]:
    async with grpc_channel(target, token=TOKENS, **options) as channel:
        yield sla_pb2_grpc.SlaServiceStub(channel)


async def test_a_service_calls_for_a_tenant_with_its_own_token(service: Service[ServiceSettings], probe: Probe) -> None:
    """Outside of a call the client names the tenant; the name itself never leaves the process."""
    async with connected(service.endpoints["grpc"]) as stub:
        await stub.GetDeadlines(ASK(), metadata=for_tenant("beta"))
    assert probe.calls == [("service:router", "beta")]


async def test_a_call_made_while_serving_one_inherits_tenant_and_deadline(
    service: Service[ServiceSettings], probe: Probe
) -> None:
    """The callee gets the rest of the caller's time, less the time for the response; never more than its own limit."""
    loop_now = asyncio.get_running_loop().time()
    serving_call = Call("/x/Y", Caller("desk", "gamma", frozenset()), (), loop_now + 2.0, "")
    token = CURRENT.set(serving_call)
    try:
        async with connected(service.endpoints["grpc"]) as stub:
            await stub.GetDeadlines(ASK(), timeout=30)
    finally:
        CURRENT.reset(token)
    assert probe.calls == [("service:router", "gamma")]
    assert probe.time_left is not None
    assert 0 < probe.time_left < 1.96


async def test_a_call_without_a_deadline_gets_the_channels_deadline(
    service: Service[ServiceSettings], probe: Probe
) -> None:
    """A caller that forgets the deadline does not wait for ever."""
    async with connected(service.endpoints["grpc"], timeout_s=3) as stub:
        await stub.GetDeadlines(ASK())
    assert probe.time_left is not None
    assert 2 < probe.time_left < 3.5  # the server counts from its own clock's tick


async def test_an_idempotency_key_reaches_the_handler(service: Service[ServiceSettings], probe: Probe) -> None:
    """The key reaches the handler, and a key that is too long is refused."""
    async with connected(service.endpoints["grpc"]) as stub:
        await stub.GetDeadlines(ASK(), metadata=idempotent("invitation-7"))
        assert probe.idempotency_key == "invitation-7"
        with pytest.raises(ChaparError) as refused, chapar_errors():
            await stub.GetDeadlines(ASK(), metadata=idempotent("k" * 300))
    assert refused.value.reason == "IDEMPOTENCY_KEY_LONG"


async def test_a_callees_error_arrives_as_our_own(service: Service[ServiceSettings]) -> None:
    """The error arrives with its kind and reason, and is counted by method and code."""
    metrics = Metrics()
    async with connected(service.endpoints["grpc"], metrics=metrics) as stub:
        with pytest.raises(ChaparError) as refused, chapar_errors():
            await stub.GetDeadlines(ASK(interaction_id="missing"))
    assert (refused.value.kind, refused.value.reason) == (ErrorKind.NOT_FOUND, "NO_INTERACTION")
    assert metrics.value("chapar_grpc_client_handled_total", f"/{SERVICE}/GetDeadlines", "NOT_FOUND") == 1


async def test_a_server_that_is_down_is_unavailable(tmp_path: Path) -> None:
    """The error comes after the retries, within the deadline."""
    async with connected("127.0.0.1:1", timeout_s=2) as stub:
        with pytest.raises(ChaparError) as refused, chapar_errors():
            await stub.GetDeadlines(ASK())
    assert refused.value.kind is ErrorKind.UNAVAILABLE


async def test_replicas_share_the_calls_and_no_call_fails_when_one_stops(tmp_path: Path) -> None:
    """Rolling restarts: a replica that stops gets no more calls, and no caller notices."""
    probes = [Probe(), Probe()]
    async with AsyncExitStack() as stack:
        going = await stack.enter_async_context(AsyncExitStack())
        settings = dev_settings(tmp_path, drain_s=0.2)
        replicas = [
            await each.enter_async_context(serving("probe", settings, build_probe(probe)))
            for each, probe in zip((going, stack), probes, strict=True)
        ]
        target = "ipv4:" + ",".join(replica.endpoints["grpc"] for replica in replicas)
        stub = await stack.enter_async_context(connected(target))
        async with asyncio.timeout(10):
            while not all(probe.calls for probe in probes):
                await stub.GetDeadlines(ASK())
        stopping = asyncio.create_task(_closed(going))
        while not stopping.done():
            await stub.GetDeadlines(ASK())
        await stopping
        before = len(probes[0].calls)
        for _ in range(20):
            await stub.GetDeadlines(ASK())
        assert len(probes[0].calls) == before


async def _closed(stack: AsyncExitStack) -> None:
    await stack.aclose()


@pytest.mark.parametrize(("cancels", "code"), [(False, "DEADLINE_EXCEEDED"), (True, "CANCELLED")])
async def test_a_call_without_an_answer_is_counted_by_who_ended_it(
    service: Service[ServiceSettings], probe: Probe, cancels: bool, code: str
) -> None:
    """A deadline that passes is an error of the service, which the error budget counts; a caller who goes away is not."""
    method = f"/{SERVICE}/GetDeadlines"
    async with connected(service.endpoints["grpc"]) as stub:
        call = stub.GetDeadlines(ASK(interaction_id="wait"), timeout=30 if cancels else 0.2)
        if cancels:
            await in_progress(service, method, 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await call
            assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await in_progress(service, method, 0)
    assert service.metrics.value("chapar_grpc_handled_total", method, code) == 1
    assert service.metrics.value("chapar_grpc_in_progress", method) == 0


async def in_progress(service: Service[ServiceSettings], method: str, number: int) -> None:
    """Wait until this number of calls is in progress."""
    async with asyncio.timeout(5):
        while service.metrics.value("chapar_grpc_in_progress", method) != number:  # noqa: ASYNC110 - a metric has no event
            await asyncio.sleep(0.01)
