"""Calls without tokens, from broken clients and from greedy tenants, on real sockets: other callers are served as before."""

from __future__ import annotations  # the async stubs exist in .pyi files only

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.requests import RequestRefused, with_refusals
from services.chassis.grpc.server import grpc_server
from services.chassis.grpc.status import from_rpc_error
from services.chassis.grpc_settings import GrpcLimits
from services.chassis.lifecycle import Service, serving
from services.chassis.settings import ServiceSettings
from services.chassis.tokens import mint
from tests.hostile.grpc_floods import connections, health_watch_flood, open_streams, repeated_calls, until
from tests.integration.chassis.conftest import SECRET, SERVICE, Probe, bearer, build_probe, dev_settings, token

GET = f"/{SERVICE}/GetDeadlines"
WATCH = f"/{SERVICE}/WatchEvents"
SUBMIT_STREAM = "/chapar.ingest.v1.IngestService/SubmitStream"


class Sink(ingest_pb2_grpc.IngestServiceServicer):
    """Answers each message of a stream, also refused ones."""

    async def SubmitStream(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[ingest_pb2.SubmitStreamRequest], context: Any
    ) -> AsyncIterator[ingest_pb2.SubmitStreamResponse]:
        async for each in with_refusals(request_iterator):
            if isinstance(each, RequestRefused):
                yield ingest_pb2.SubmitStreamResponse(refused_reason=each.reason, refused_message=each.message)
            else:
                yield ingest_pb2.SubmitStreamResponse(idempotency_key=each.message.idempotency_key)


@asynccontextmanager
async def sink(tmp_path: Path) -> AsyncIterator[Service[ServiceSettings]]:
    @asynccontextmanager
    async def build(service: Service[ServiceSettings]) -> AsyncIterator[None]:
        register = lambda server: ingest_pb2_grpc.add_IngestServiceServicer_to_server(Sink(), server)  # type: ignore[abstract]  # noqa: E731
        async with grpc_server(service, register, ["chapar.ingest.v1.IngestService"]):
            yield

    async with serving("sink", dev_settings(tmp_path), build) as running:
        yield running


def of(tenant: str, subject: str = "tester") -> tuple[tuple[str, str], ...]:
    """Return the metadata of a caller."""
    return bearer(mint(SECRET, subject, tenant, ["sla.read"]))


async def served(service: Service[ServiceSettings], tenant: str = "beta") -> None:
    """Make one valid call of a tenant, over its own connection. Raises when it is not served at once."""
    async with grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        await sla_pb2_grpc.SlaServiceStub(channel).GetDeadlines(
            sla_pb2.GetDeadlinesRequest(interaction_id="i"), metadata=of(tenant), timeout=5
        )


async def refusal(call: Any) -> ChaparError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def taken(service: Service[ServiceSettings]) -> float:
    """Return the number of slots in use."""
    return sum(service.metrics.value("chapar_grpc_slots_taken", kind) or 0 for kind in ("call", "watch", "session"))


async def test_health_is_not_on_the_port_for_callers(service: Service[ServiceSettings]) -> None:
    """Neither Check nor Watch is served, with a token or without."""
    async with grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        for metadata in ((), of("acme")):
            error = await refusal(health.Check(health_pb2.HealthCheckRequest(), metadata=metadata, timeout=5))
            assert error.reason == "GRPC_UNIMPLEMENTED"
    assert service.endpoints["health"] != service.endpoints["grpc"]


async def test_anonymous_watches_take_no_slot(service: Service[ServiceSettings]) -> None:
    """21 connections full of health watches all end at once, and a caller with a token is served at the same time."""
    async with health_watch_flood(service.endpoints["grpc"], connections_=21, streams=100) as flood:
        await until(lambda: flood.codes["UNIMPLEMENTED"] >= 21)
        await served(service)
        # In some of them the write is interrupted before the client has read the status that came first.
        await until(lambda: flood.codes["UNIMPLEMENTED"] + flood.codes["CANCELLED"] == 2100)
        await until(lambda: taken(service) == 0)


@pytest.mark.parametrize("method", [GET, WATCH])
async def test_calls_without_a_token_take_no_slot_and_end_at_once(probe: Probe, tmp_path: Path, method: str) -> None:
    """Without a token a call ends before its request was read, also a call that never sends its request."""
    settings = dev_settings(tmp_path, grpc_limits=GrpcLimits(calls=2, watches=2))
    async with (
        serving("probe", settings, build_probe(probe)) as service,
        grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel,
    ):
        never = [_only_headers(channel, method) for _ in range(50)]
        for call in never:
            assert (await refusal(call.read())).reason == "TOKEN_MISSING"
        await served(service)
        await until(lambda: taken(service) == 0)
        assert [call for call, _ in probe.calls] == ["tester"]


def _only_headers(channel: Any, method: str, metadata: tuple[tuple[str, str], ...] = ()) -> Any:
    """Make a call whose request never comes."""

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    return channel.stream_stream(method)(nothing(), metadata=metadata)


async def test_a_flood_of_calls_without_a_token_is_slowed_down(probe: Probe, tmp_path: Path) -> None:
    """Calls beyond the rate get their response later, so the rate of a client that repeats at once is limited."""
    limits = GrpcLimits(refusals_per_s=20, refusal_hold_s=1)
    async with serving("probe", dev_settings(tmp_path, grpc_limits=limits), build_probe(probe)) as service:
        address = service.endpoints["grpc"]
        loop = asyncio.get_running_loop()
        async with repeated_calls(address, GET, lambda _: b"", token="garbage", at_once=50) as flood:
            begun = loop.time()
            await until(lambda: flood.codes["UNAUTHENTICATED"] >= 150)
            # 20 at once, then at most 20 a second at once and 50 a second held.
            assert loop.time() - begun > 1.0
            await served(service)
    assert flood.codes.keys() == {"UNAUTHENTICATED"}


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xc3\x28", b"\x0b" * 1000])
async def test_an_unreadable_request_is_refused_in_fixed_words(service: Service[ServiceSettings], raw: bytes) -> None:
    """The caller is checked first, then the argument is invalid; never in the decoder's words, which may quote the request."""
    async with grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        open_: Any = channel
        assert (await refusal(open_.unary_unary(GET)(raw, timeout=5))).reason == "TOKEN_MISSING"
        unary = await refusal(open_.unary_unary(GET)(raw, timeout=5, metadata=of("acme")))
        stream = await refusal(anext(aiter(open_.unary_stream(WATCH)(raw, metadata=of("acme")))))
    for error in (unary, stream):
        assert (error.kind, error.reason) == (ErrorKind.INVALID, "REQUEST_UNREADABLE")
        assert error.message == "the request can't be read as a message of this method"


async def test_slots_come_back_however_a_call_ends(probe: Probe, tmp_path: Path) -> None:
    """Cancelled, interrupted, refused, or never sent: a caller with a token cannot leak a slot."""
    settings = dev_settings(tmp_path, grpc_limits=GrpcLimits(calls=8, watches=8))
    async with serving("probe", settings, build_probe(probe)) as service:
        address = service.endpoints["grpc"]
        async with grpc.aio.insecure_channel(address) as channel:
            waiting = [_only_headers(channel, GET, of("acme")) for _ in range(4)]
            await until(lambda: taken(service) == 4)
            error = await refusal(_only_headers(channel, GET, of("acme")).read())
            assert error.reason == "TOO_MANY_CALLS_OF_TENANT"
            waiting[0].cancel()
            await until(lambda: taken(service) == 3)
            stub = sla_pb2_grpc.SlaServiceStub(channel)
            late = stub.GetDeadlines(
                sla_pb2.GetDeadlinesRequest(interaction_id="wait"), metadata=of("beta"), timeout=0.2
            )
            assert (await refusal(late)).kind is ErrorKind.DEADLINE
            assert (await refusal(stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(), metadata=of("beta")))).reason == (
                "DEADLINE_MISSING"
            )
            watch = stub.WatchEvents(sla_pb2.WatchEventsRequest(), metadata=of("beta"))
            await anext(aiter(watch))
            assert taken(service) == 4
            watch.cancel()
            await until(lambda: taken(service) == 3)
        await until(lambda: taken(service) == 0)


async def test_one_tenants_watchers_shut_out_no_other(probe: Probe, tmp_path: Path) -> None:
    """The tenant gets half of the streams, and a refusal with a retry time; calls are another budget."""
    settings = dev_settings(tmp_path, grpc_limits=GrpcLimits(watches=200, watches_per_caller=1000, refusal_hold_s=0.05))
    greedy = mint(SECRET, "greedy", "acme", ["sla.read"])
    async with serving("probe", settings, build_probe(probe)) as service:
        address = service.endpoints["grpc"]
        async with open_streams(address, WATCH, connections_=4, streams=50, token=greedy) as flood:
            await until(lambda: flood.codes["MESSAGE"] == 100 and flood.codes["RESOURCE_EXHAUSTED"] == 100)
            await served(service, "beta")
            await served(service, "acme")
            async with grpc.aio.insecure_channel(address) as channel:
                watch = sla_pb2_grpc.SlaServiceStub(channel).WatchEvents(
                    sla_pb2.WatchEventsRequest(), metadata=of("beta")
                )
                async with asyncio.timeout(5):
                    await anext(aiter(watch))
                again = sla_pb2_grpc.SlaServiceStub(channel).WatchEvents(
                    sla_pb2.WatchEventsRequest(), metadata=of("acme", "another")
                )
                error = await refusal(anext(aiter(again)))
                assert (error.kind, error.reason) == (ErrorKind.EXHAUSTED, "TOO_MANY_WATCHES_OF_TENANT")
                assert error.retry_after_s is not None
                watch.cancel()


async def test_the_health_port_has_small_limits_of_its_own(service: Service[ServiceSettings]) -> None:
    """Four watches of a connection are served and a further call waits; callers of the service notice nothing."""
    address, method = service.endpoints["health"], "/grpc.health.v1.Health/Watch"
    async with grpc.aio.insecure_channel(address) as channel:
        open_: Any = channel
        watches = [open_.unary_stream(method)(b"") for _ in range(4)]
        for watch in watches:
            await watch.read()
        health: Any = health_pb2_grpc.HealthStub(channel)
        assert (await refusal(health.Check(health_pb2.HealthCheckRequest(), timeout=0.5))).kind is ErrorKind.DEADLINE
        watches[0].cancel()
        await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    async with open_streams(address, method, connections_=80, streams=1) as flood:
        await until(lambda: flood.codes["MESSAGE"] >= 60 and flood.codes["UNAVAILABLE"] >= 1)
        assert flood.codes["MESSAGE"] <= 64
        await served(service)
        await until(lambda: taken(service) == 0)


async def test_a_connection_carries_a_limited_number_of_streams(probe: Probe, tmp_path: Path) -> None:
    """The rest wait in the client; another connection of the same caller is served."""
    settings = dev_settings(tmp_path, grpc_limits=GrpcLimits(streams_per_connection=5))
    async with serving("probe", settings, build_probe(probe)) as service:
        address = service.endpoints["grpc"]
        async with open_streams(address, WATCH, connections_=1, streams=20, token=token()) as flood:
            await until(lambda: flood.codes["MESSAGE"] == 5)
            await served(service)
            assert flood.codes["MESSAGE"] == 5


async def test_connections_beyond_the_limit_are_closed(probe: Probe, tmp_path: Path) -> None:
    """Open connections continue."""
    settings = dev_settings(tmp_path, grpc_limits=GrpcLimits(connections=6))
    async with serving("probe", settings, build_probe(probe)) as service, AsyncExitStack() as stack:
        channels = await stack.enter_async_context(connections(service.endpoints["grpc"], 12))

        async def ask(channel: Any) -> str:
            try:
                await sla_pb2_grpc.SlaServiceStub(channel).GetDeadlines(
                    sla_pb2.GetDeadlinesRequest(), metadata=of("acme"), timeout=2
                )
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return "OK"

        found = await asyncio.gather(*(ask(channel) for channel in channels))
        assert 1 <= found.count("OK") <= 6
        open_ = channels[found.index("OK")]
        assert await ask(open_) == "OK"


async def test_metadata_beyond_the_limit_is_refused(service: Service[ServiceSettings], probe: Probe) -> None:
    """The refusal comes before the metadata is read."""
    async with grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        stub = sla_pb2_grpc.SlaServiceStub(channel)
        metadata = (*of("acme"), ("x-junk", "j" * 20_000))
        error = await refusal(stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(), metadata=metadata, timeout=5))
    assert error.kind is ErrorKind.EXHAUSTED
    assert probe.calls == []


async def test_a_compressed_request_is_refused_unread(service: Service[ServiceSettings], probe: Probe) -> None:
    """A megabyte of gzip may expand to a gigabyte; Chapar's clients do not compress."""
    async with grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        call: Any = channel.unary_unary(GET)
        request = sla_pb2.GetDeadlinesRequest(interaction_id="i" * 200).SerializeToString()
        assert len(gzip.compress(request)) < len(request)
        error = await refusal(call(request, metadata=of("acme"), timeout=5, compression=grpc.Compression.Gzip))
    assert error.reason == "GRPC_UNIMPLEMENTED"
    assert probe.calls == []


async def test_a_name_of_200_kilobytes_is_refused_with_its_path(
    service: Service[ServiceSettings], probe: Probe
) -> None:
    """The refusal is a BadRequest, before the handler sees the request."""
    async with grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        stub = sla_pb2_grpc.SlaServiceStub(channel)
        request = sla_pb2.ListAtRiskRequest(queue="q" * 200_000)
        error = await refusal(stub.ListAtRisk(request, metadata=of("acme"), timeout=5))
    assert (error.kind, error.reason) == (ErrorKind.INVALID, "INVALID_FIELD")
    assert [each.field for each in error.violations] == ["queue"]


async def test_each_message_of_a_stream_is_checked(tmp_path: Path) -> None:
    """A message that breaks its limits gets a refusal and the stream continues. A message that cannot be read ends the stream."""
    metadata = bearer(mint(SECRET, "tester", "acme", ["ingest.submit"]))

    def message(**fields: Any) -> bytes:
        return ingest_pb2.SubmitStreamRequest(message=ingest_pb2.SubmitRequest(**fields)).SerializeToString()

    async with sink(tmp_path) as service, grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        open_: Any = channel
        call = open_.stream_stream(SUBMIT_STREAM)(metadata=metadata)
        answers = []
        for raw in (message(idempotency_key="1"), message(native_id="n" * 200_000), message(idempotency_key="3")):
            await call.write(raw)
            answers.append(ingest_pb2.SubmitStreamResponse.FromString(await call.read()))
        assert [each.idempotency_key for each in answers] == ["1", "", "3"]
        assert answers[1].refused_reason == "INVALID_FIELD"
        assert "message.native_id" in answers[1].refused_message
        await call.write(b"\xff\xff\xff")
        assert (await refusal(call.read())).reason == "REQUEST_UNREADABLE"


async def test_large_requests_of_one_tenant_do_not_fill_the_memory(probe: Probe, tmp_path: Path) -> None:
    """The tenant gets half of the bytes, however many slots it has; the bytes are released, and another tenant is served."""
    limits = GrpcLimits(request_bytes=1 << 20, refusal_hold_s=0)
    async with (
        serving("probe", dev_settings(tmp_path, grpc_limits=limits), build_probe(probe)) as service,
        grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel,
    ):
        open_: Any = channel
        # Unknown fields count too: they have arrived.
        large = (
            sla_pb2.GetDeadlinesRequest(interaction_id="wait").SerializeToString() + b"\x7a\x80\x80\x06" + b"x" * 98_304
        )
        waiting = [open_.unary_unary(GET)(large, metadata=of("acme"), timeout=20) for _ in range(12)]
        await until(lambda: sum(call.done() for call in waiting) == 7)
        await served(service, "beta")
        probe.release.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(not isinstance(each, BaseException) for each in results) == 5
        await until(lambda: taken(service) == 0)
        await open_.unary_unary(GET)(large, metadata=of("acme"), timeout=20)
