"""Streams end with the token that opened them, on real sockets, whatever client and handler do at the time."""

from __future__ import annotations  # the async stubs exist in .pyi files only

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.router.v1 import router_pb2, router_pb2_grpc
from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.admission import Admission
from services.chassis.grpc.audited import AuditedCalls
from services.chassis.grpc.auth import Authorizer
from services.chassis.grpc.interceptor import ChassisInterceptor
from services.chassis.grpc.lifetimes import Lifetimes
from services.chassis.grpc.refusal_hold import RefusalHold
from services.chassis.grpc.server import budgets
from services.chassis.grpc.status import from_rpc_error
from services.chassis.grpc.tenant_pace import TenantPace
from services.chassis.grpc_settings import GrpcLimits
from services.chassis.lifecycle import leaves
from services.chassis.metrics import Metrics
from services.chassis.tokens import Verifier, mint
from services.chassis.tokens.keys import key_of_pem
from services.chassis.tokens.revocations import Revocation
from services.chassis.tokens.sources import FixedKeys
from services.chassis.tokens.verifier import TrustedIssuer
from services.chassis.tracing import Tracing
from tests.integration.chassis.conftest import PUBLIC, SECRET, bearer

LIFE_S, LEEWAY_S = 2.0, 1.0
METHODS = (
    "/chapar.sla.v1.SlaService/WatchEvents",
    "/chapar.router.v1.AgentService/Session",
    "/chapar.ingest.v1.IngestService/SubmitStream",
)


class Streams(
    sla_pb2_grpc.SlaServiceServicer, router_pb2_grpc.AgentServiceServicer, ingest_pb2_grpc.IngestServiceServicer
):
    """The three forms of streams: a generator, a coroutine that writes to its context, and both directions."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self.obeyed = 0
        self.flood = False

    async def WatchEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the contract's name
        try:
            yield sla_pb2.WatchEventsResponse()
            while self.flood:
                yield sla_pb2.WatchEventsResponse(event=sla_pb2.SlaEvent(interaction_id="x" * 60_000))
            await asyncio.Event().wait()
        finally:
            self.closed.append("WatchEvents")

    async def Session(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(request_iterator, context))
                await asyncio.wait([reader])
        except ExceptionGroup as group:
            raise leaves(group)[0] from group
        finally:
            await asyncio.sleep(0.05)  # as long as a report to the shard that the agent's session is gone
            self.closed.append("Session")

    async def _read(self, requests: Any, context: Any) -> None:
        async for _request in requests:
            self.obeyed += 1
            await context.write(router_pb2.SessionResponse())
            while self.flood:
                await context.write(router_pb2.SessionResponse(result=router_pb2.RequestResult(message="x" * 60_000)))

    async def SubmitStream(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the contract's name
        try:
            async for _request in request_iterator:
                self.obeyed += 1
                yield ingest_pb2.SubmitStreamResponse()
        finally:
            self.closed.append("SubmitStream")


class Place:
    """A server with the streams, their lifetimes and metrics, and stubs to call them."""

    def __init__(self, streams: Streams, lifetimes: Lifetimes, channel: grpc.aio.Channel, metrics: Metrics) -> None:
        self.streams = streams
        self.lifetimes = lifetimes
        self.metrics = metrics
        self.sla = sla_pb2_grpc.SlaServiceStub(channel)
        self.router = router_pb2_grpc.AgentServiceStub(channel)
        self.ingest = ingest_pb2_grpc.IngestServiceStub(channel)

    def open(self, method: str, token: str) -> Any:
        """Call a method, with a first request if requests are a stream."""
        if method.endswith("WatchEvents"):
            return self.sla.WatchEvents(sla_pb2.WatchEventsRequest(), metadata=bearer(token))
        if method.endswith("Session"):
            return self.router.Session(metadata=bearer(token))
        return self.ingest.SubmitStream(metadata=bearer(token))


@asynccontextmanager
async def a_place(clock: Any = None) -> AsyncIterator[Place]:
    kwargs = {} if clock is None else {"clock": clock}
    streams = Streams()  # type: ignore[abstract]  # the other methods stay unimplemented
    lifetimes, metrics = Lifetimes(**kwargs), Metrics()
    authorizer = Authorizer(a_verifier(leeway_s=LEEWAY_S, **kwargs), lifetimes=lifetimes)
    tracing = Tracing.start("probe", "probe-0", "", 1.0)
    limits = GrpcLimits()
    interceptor = ChassisInterceptor(
        authorizer,
        Admission(budgets(limits)),
        TenantPace(limits),
        RefusalHold(limits),
        metrics,
        tracing,
        AuditedCalls(None),
    )
    server = grpc.aio.server(interceptors=[interceptor])
    sla_pb2_grpc.add_SlaServiceServicer_to_server(streams, server)
    router_pb2_grpc.add_AgentServiceServicer_to_server(streams, server)
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(streams, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Place(streams, lifetimes, channel, metrics)
    finally:
        await server.stop(0)
        tracing.close()


def a_verifier(**options: Any) -> Verifier:
    return Verifier(TrustedIssuer("chapar", "chapar", FixedKeys(key_of_pem(PUBLIC, "the test's key"))), **options)


def a_token(ttl: float = LIFE_S, **more: Any) -> str:
    return mint(SECRET, "sara", "acme", ["sla.read", "agent.session", "ingest.submit"], ttl=ttl, **more)


async def end_of(call: Any) -> ChaparError:
    """Return the error with which a stream ends."""

    async def read() -> None:
        while await call.read() is not grpc.aio.EOF:
            pass

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(read(), 20)
    return from_rpc_error(caught.value)


@pytest.mark.parametrize("method", METHODS)
async def test_a_stream_ends_with_its_token(method: str) -> None:
    """Idle streams of every form end with UNAUTHENTICATED TOKEN_EXPIRED at `exp` plus leeway, and the handler has closed."""
    async with a_place() as place:
        call = place.open(method, a_token())
        begun = time.monotonic()
        error = await end_of(call)
        assert (error.kind, error.reason) == (ErrorKind.UNAUTHENTICATED, "TOKEN_EXPIRED")
        assert time.monotonic() - begun > 1  # not at once: it was served while the token was valid
        assert place.streams.closed == [method.rpartition("/")[2]]
        assert place.metrics.value("chapar_grpc_in_progress", method) == 0
        assert place.metrics.value("chapar_grpc_handled_total", method, "UNAUTHENTICATED") == 1


@pytest.mark.parametrize("method", METHODS[1:])
async def test_no_command_is_handled_after_the_token_has_ended(method: str) -> None:
    """A client that continues to send is refused: every request is checked against the clock, not only by a timer."""

    class Clock:
        ahead_ms = 0

        def __call__(self) -> int:
            return time.time_ns() // 1_000_000 + self.ahead_ms

    clock = Clock()
    async with a_place(clock) as place:
        call = place.open(method, a_token(ttl=3600, clock=clock))
        request = router_pb2.SessionRequest() if "Session" in method else ingest_pb2.SubmitStreamRequest()
        await call.write(request)
        await call.read()
        assert place.streams.obeyed == 1
        clock.ahead_ms = 3600_000 + int(LEEWAY_S * 1000)  # no timer notices
        await call.write(request)
        assert (await end_of(call)).reason == "TOKEN_EXPIRED"
        assert place.streams.obeyed == 1


@pytest.mark.parametrize("method", METHODS)
async def test_a_revoked_token_ends_its_streams_and_opens_no_more(method: str) -> None:
    """Revoked by subject; streams of other subjects stay open."""
    async with a_place() as place:
        mine, other = (
            place.open(method, a_token(ttl=60)),
            place.open(method, mint(SECRET, "omid", "acme", ["sla.read", "agent.session", "ingest.submit"])),
        )
        if method.endswith("WatchEvents"):
            await mine.read()
            await other.read()
        else:
            request = router_pb2.SessionRequest() if "Session" in method else ingest_pb2.SubmitStreamRequest()
            for call in (mine, other):
                await call.write(request)
                await call.read()
        now_s = time.time()
        place.lifetimes.revocations.put(
            "k", Revocation(now_s + 60, tenant="acme", subject="sara", issued_until_s=now_s), now_s
        )
        place.lifetimes.revoked()
        assert (await end_of(mine)).reason == "TOKEN_REVOKED"
        assert (await end_of(place.open(method, a_token(ttl=60)))).reason == "TOKEN_REVOKED"
        assert not other.done()
        other.cancel()


@pytest.mark.parametrize("method", [METHODS[0], METHODS[1]])
async def test_a_client_that_does_not_read_holds_nothing(method: str) -> None:
    """The handler waits in a write; it is still closed in time, and the status follows the messages that were written before."""
    async with a_place() as place:
        place.streams.flood = True
        call = place.open(method, a_token())
        if "Session" in method:
            await call.write(router_pb2.SessionRequest())
        await call.read()
        async with asyncio.timeout(15):
            while not place.streams.closed:  # noqa: ASYNC110 - this side has no event
                await asyncio.sleep(0.05)
        assert (await end_of(call)).reason == "TOKEN_EXPIRED"


async def test_a_busy_stream_ends_with_the_reason() -> None:
    """A client that reads all the time gets the status, although messages are always on their way."""
    async with a_place() as place:
        place.streams.flood = True
        assert (await end_of(place.open(METHODS[0], a_token()))).reason == "TOKEN_EXPIRED"


async def test_a_stream_that_ends_by_itself_leaves_nothing_behind() -> None:
    """No timer and no entry remain; a stream that ended without an error keeps its status."""
    async with a_place() as place:
        call = place.open(METHODS[2], a_token())
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert place.lifetimes._open == set()
