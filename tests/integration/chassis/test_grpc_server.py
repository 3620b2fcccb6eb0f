"""The checks that a call of any service passes before the service's own code, on real sockets."""

from __future__ import annotations  # the async stubs exist in .pyi files only

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.errors import ChaparError, ErrorKind, FieldViolation
from services.chassis.grpc.client import chapar_errors
from services.chassis.grpc.status import from_rpc_error
from services.chassis.grpc_settings import GrpcLimits
from services.chassis.lifecycle import Service, leaves, serving
from services.chassis.settings import ServiceSettings
from services.chassis.tokens import mint
from tests.integration.chassis.conftest import SECRET, SERVICE, Probe, bearer, build_probe, dev_settings, token

if TYPE_CHECKING:
    from chapar.sla.v1.sla_pb2_grpc import SlaServiceAsyncStub as Stub
METHOD = f"/{SERVICE}/GetDeadlines"


async def refusal(stub: Stub, metadata: tuple[tuple[str, str], ...] = (), interaction: str = "i-1") -> ChaparError:
    """Return the error with which a call ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(interaction_id=interaction), metadata=metadata, timeout=5)
    return from_rpc_error(caught.value)


async def test_a_caller_with_the_scope_is_served_as_its_tenant(stub: Stub, probe: Probe) -> None:
    """The tenant comes from the token."""
    await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(interaction_id="i"), metadata=bearer(token()), timeout=5)
    assert probe.calls == [("tester", "acme")]


@pytest.mark.parametrize(
    ("metadata", "kind", "reason"),
    [
        ((), ErrorKind.UNAUTHENTICATED, "TOKEN_MISSING"),
        ((("authorization", "Basic dXNlcjpwYXNz"),), ErrorKind.UNAUTHENTICATED, "TOKEN_MISSING"),
        (bearer("not-a-token"), ErrorKind.UNAUTHENTICATED, "TOKEN_REFUSED"),
        (bearer(token(ttl=-60)), ErrorKind.UNAUTHENTICATED, "TOKEN_EXPIRED"),
        (bearer(token(audience="someone-else")), ErrorKind.UNAUTHENTICATED, "TOKEN_AUDIENCE"),
        (bearer(token(issuer="someone-else")), ErrorKind.UNAUTHENTICATED, "TOKEN_ISSUER"),
        (bearer(mint(b"x" * 40, "t", "acme", ["sla.read"])), ErrorKind.UNAUTHENTICATED, "TOKEN_REFUSED"),
        (bearer(token("ingest.submit")), ErrorKind.PERMISSION_DENIED, "SCOPE_MISSING"),
    ],
    ids=["none", "basic", "garbage", "expired", "audience", "issuer", "signature", "scope"],
)
async def test_a_caller_without_a_good_token_is_refused_with_the_reason(
    stub: Stub, probe: Probe, metadata: tuple[tuple[str, str], ...], kind: ErrorKind, reason: str
) -> None:
    """Each kind of bad token has its own reason, and the handler is never called."""
    error = await refusal(stub, metadata)
    assert (error.kind, error.reason) == (kind, reason)
    assert probe.calls == []


async def test_a_typed_error_crosses_the_wire_intact(stub: Stub) -> None:
    """Kind, reason, message, violations, metadata and retry time arrive unchanged."""
    error = await refusal(stub, bearer(token()), "missing")
    assert error.kind is ErrorKind.NOT_FOUND
    assert error.reason == "NO_INTERACTION"
    assert "chapar interactions list" in error.message
    assert error.violations == (FieldViolation("interaction_id", "is not known"),)
    assert dict(error.metadata) == {"interaction": "missing"}
    assert error.retry_after_s == 1.5


async def test_a_bug_is_answered_without_the_exceptions_text(stub: Stub) -> None:
    """Exceptions may quote a customer's message; the caller gets INTERNAL and nothing else."""
    error = await refusal(stub, bearer(token()), "bug")
    assert error.kind is ErrorKind.INTERNAL
    assert "diary" not in error.message


async def test_a_unary_call_needs_a_deadline(stub: Stub) -> None:
    """A caller that would wait for ever gets an error that says how to set a deadline."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(), metadata=bearer(token()))
    assert from_rpc_error(caught.value).reason == "DEADLINE_MISSING"


async def test_an_unknown_method_is_unimplemented(service: Service[ServiceSettings]) -> None:
    """Also with a valid token."""
    async with grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        call: Any = channel.unary_unary(f"/{SERVICE}/Nope")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=bearer(token()), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_stream_is_guarded_and_ends_with_a_typed_error(stub: Stub, probe: Probe) -> None:
    """Streams need no deadline, but a token, and their errors have the same fields as a unary call's."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(stub.WatchEvents(sla_pb2.WatchEventsRequest())))
    assert from_rpc_error(caught.value).reason == "TOKEN_MISSING"

    messages = aiter(stub.WatchEvents(sla_pb2.WatchEventsRequest(), metadata=bearer(token())))
    await anext(messages)
    probe.release.set()
    with pytest.raises(ChaparError) as ended, chapar_errors():
        await anext(messages)
    assert (ended.value.kind, ended.value.reason) == (ErrorKind.UNAVAILABLE, "RECONNECT")


async def test_a_request_over_the_limit_is_refused(stub: Stub) -> None:
    """The default limit is 1 MiB."""
    error = await refusal(stub, bearer(token()), "x" * (1 << 20))
    assert error.reason == "GRPC_RESOURCE_EXHAUSTED"


async def test_calls_are_counted_by_method_and_code(stub: Stub, service: Service[ServiceSettings]) -> None:
    """The availability objective is computed from these counters."""
    await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(), metadata=bearer(token()), timeout=5)
    await refusal(stub, bearer(token()), "missing")
    await refusal(stub)
    value = service.metrics.value
    assert value("chapar_grpc_handled_total", METHOD, "OK") == 1
    assert value("chapar_grpc_handled_total", METHOD, "NOT_FOUND") == 1
    assert value("chapar_grpc_handled_total", METHOD, "UNAUTHENTICATED") == 1
    assert value("chapar_grpc_started_total", METHOD) == 3
    assert value("chapar_grpc_in_progress", METHOD) == 0


async def test_health_is_public_and_follows_readiness(service: Service[ServiceSettings]) -> None:
    """Health is served by name and for the whole process; a component that is not ready makes the process not ready."""
    async with grpc.aio.insecure_channel(service.endpoints["health"]) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = aiter(stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE)))

        async def until(wanted: int) -> None:
            async with asyncio.timeout(5):
                while (await anext(watch)).status != wanted:
                    pass

        await until(health_pb2.HealthCheckResponse.SERVING)
        lane = service.health.component("lane")
        await until(health_pb2.HealthCheckResponse.NOT_SERVING)
        lane.set(True)
        await until(health_pb2.HealthCheckResponse.SERVING)


async def test_reflection_serves_development_only(service: Service[ServiceSettings], tmp_path: Path) -> None:
    """Under insecure_dev, reflection works without a token."""
    async with grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast(Any, channel))
        info = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        answer = await anext(aiter(info))
    assert SERVICE in {found.name for found in answer.list_services_response.service}


async def test_stopping_lets_a_call_in_progress_finish(probe: Probe, tmp_path: Path) -> None:
    """Drain: no new calls, and the call in progress still gets its response, even if it takes long."""
    async with serving("probe", dev_settings(tmp_path), build_probe(probe)) as service:
        channel = grpc.aio.insecure_channel(service.endpoints["grpc"])
        call = sla_pb2_grpc.SlaServiceStub(channel).GetDeadlines(
            sla_pb2.GetDeadlinesRequest(interaction_id="wait"), metadata=bearer(token()), timeout=10
        )
        await probe.entered.wait()

        async def let_go() -> None:
            # Long after the server has begun to stop, well before its grace is over.
            asyncio.get_running_loop().call_later(0.4, probe.release.set)

        service.on_drain(let_go)
    assert await call == sla_pb2.GetDeadlinesResponse()
    await channel.close()


async def test_ops_pages_tell_alive_ready_and_metrics(service: Service[ServiceSettings]) -> None:
    """Readiness names the component that it waits for."""
    async with httpx.AsyncClient(base_url=f"http://{service.endpoints['ops']}") as ops:
        assert (await ops.get("/healthz")).status_code == 200
        assert (await ops.get("/readyz")).status_code == 200
        assert (await ops.get("/startupz")).status_code == 200
        service.health.component("lane").set(False, "restoring partition 3")
        ready = await ops.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["waiting_for"] == {"lane": "restoring partition 3"}
        text = (await ops.get("/metrics")).text
    assert "chapar_build_info{" in text
    assert "chapar_ready 0.0" in text
    assert "_created" not in text


async def test_without_tls_a_service_refuses_all_but_loopback_development(probe: Probe, tmp_path: Path) -> None:
    """One sentence names the settings."""
    for changes in ({"insecure_dev": False}, {"grpc_host": "0.0.0.0"}):
        with pytest.raises(ExceptionGroup) as caught:
            async with serving("probe", dev_settings(tmp_path, **changes), build_probe(probe)):
                pytest.fail("it serves")
        error = leaves(caught.value)[0]
        assert isinstance(error, ChaparError)
        assert error.reason == "INSECURE_GRPC"


async def test_a_port_in_use_is_named(service: Service[ServiceSettings], probe: Probe, tmp_path: Path) -> None:
    """For the gRPC server and for the ops server."""
    for name, field in (("grpc", "grpc_port"), ("ops", "ops_port"), ("health", "health_port")):
        taken = int(service.endpoints[name].rpartition(":")[2])
        with pytest.raises(ExceptionGroup) as caught:
            async with serving("probe", dev_settings(tmp_path, **{field: taken}), build_probe(probe)):
                pytest.fail("it serves")
        error = leaves(caught.value)[0]
        assert isinstance(error, ChaparError)
        assert error.reason == "PORT_IN_USE"
        assert str(taken) in error.message


async def test_calls_beyond_the_limit_are_shed(probe: Probe, tmp_path: Path) -> None:
    """RESOURCE_EXHAUSTED at once, instead of an invisible queue."""
    async with (
        serving("probe", dev_settings(tmp_path, grpc_limits=GrpcLimits(calls=1)), build_probe(probe)) as service,
        grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel,
    ):
        stub = sla_pb2_grpc.SlaServiceStub(channel)
        first = stub.GetDeadlines(
            sla_pb2.GetDeadlinesRequest(interaction_id="wait"), metadata=bearer(token()), timeout=10
        )
        await probe.entered.wait()
        error = await refusal(stub, bearer(token()))
        assert (error.kind, error.reason) == (ErrorKind.EXHAUSTED, "TOO_MANY_CALLS_OF_SERVER")
        assert error.retry_after_s is not None
        probe.release.set()
        await first


async def test_nothing_of_one_call_is_left_in_the_next(stub: Stub, probe: Probe) -> None:
    """One after another and at the same time on one connection: data of tenants never mixes, not even in a log line."""
    tenants = ["acme", "beta", "", "gamma", ""]

    async def ask(tenant: str) -> None:
        metadata = bearer(mint(SECRET, f"subject-{tenant}", tenant, ["sla.read"]))
        await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(), metadata=metadata, timeout=10)

    for tenant in tenants:
        await ask(tenant)
    assert [fields.get("tenant", "") for fields in probe.log_fields] == tenants
    probe.log_fields.clear()
    probe.calls.clear()
    await asyncio.gather(*(ask(tenant) for tenant in tenants * 10))
    assert [fields.get("tenant", "") for fields in probe.log_fields] == [tenant for _, tenant in probe.calls]
    assert {subject.removeprefix("subject-") == tenant for subject, tenant in probe.calls} == {True}


async def test_a_trace_goes_through_a_service_that_does_not_record(stub: Stub, probe: Probe) -> None:
    """From gRPC metadata to the headers of the handler's records; the next call has nothing of it."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    metadata = (*bearer(token()), ("traceparent", parent))
    await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(), metadata=metadata, timeout=5)
    assert probe.onward == {"traceparent": parent.encode()}
    await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(), metadata=bearer(token()), timeout=5)
    assert probe.onward == {}


async def test_a_drain_hook_that_hangs_does_not_stop_the_drain(probe: Probe, tmp_path: Path) -> None:
    """The hook gets the same grace as calls, and then the service continues to close."""
    hung = asyncio.Event()

    async def hang() -> None:
        hung.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        async with serving("probe", dev_settings(tmp_path, stop_grace_s=0.1), build_probe(probe)) as service:
            service.on_drain(hang)
    assert hung.is_set()
    assert service.health.draining
