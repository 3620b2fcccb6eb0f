"""Floods of gRPC calls, as a hostile or broken client sends them to a port. This module checks nothing.

Each flood is an async context manager that runs during the block: `async with submit_flood(address, token): …`. It provides a
`Flood` with its counts. The tests and `tests/bench/hostile_fairness.py` use them.
"""

from __future__ import annotations  # the async stubs exist in .pyi files only

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import ingest_pb2
from chapar.router.v1 import router_pb2
from chapar.sla.v1 import sla_pb2

HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
SUBMIT = "/chapar.ingest.v1.IngestService/Submit"
SUBMIT_STREAM = "/chapar.ingest.v1.IngestService/SubmitStream"
WATCH_EVENTS = "/chapar.sla.v1.SlaService/WatchEvents"
UPSERT_AGENT = "/chapar.router.v1.AgentDirectoryService/UpsertAgent"
_TIMEOUT_S = 10


@dataclass
class Flood:
    """Counts of calls: `codes` by gRPC status ("MESSAGE": a message of a stream), `reasons` by reason code, `sent` in total."""

    codes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    sent: int = 0


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return metadata with the token; empty metadata without one."""
    return (("authorization", f"Bearer {token}"),) if token else ()


@asynccontextmanager
async def connections(address: str, count: int) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Provide channels that do not share connections."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(
                    address, options=(("grpc.use_local_subchannel_pool", 1), ("chapar.flood", index))
                )
            )
            for index in range(count)
        ]


@asynccontextmanager
async def open_streams(
    address: str, method: str, *, connections_: int, streams: int, token: str = "", request: bytes = b""
) -> AsyncIterator[Flood]:
    """Open server streams and keep them open: `streams` on each of `connections_` connections."""
    flood = Flood()

    async def one(channel: Any) -> None:
        call = channel.unary_stream(method)(request, metadata=bearer(token))
        flood.sent += 1
        try:
            async for _ in call:
                flood.codes["MESSAGE"] += 1
        except grpc.aio.AioRpcError as error:
            flood.codes[error.code().name] += 1
        finally:
            call.cancel()

    async with connections(address, connections_) as channels:
        work = (one(channel) for channel in channels for _ in range(streams))
        async with _beside(work):
            yield flood


@asynccontextmanager
async def repeated_calls(
    address: str,
    method: str,
    request: Callable[[int], Message | bytes],
    *,
    token: str = "",
    at_once: int = 100,
    connections_: int = 4,
) -> AsyncIterator[Flood]:
    """Make unary calls without pause: `at_once` calls are always in progress, and a refused call is repeated at once."""
    flood = Flood()
    numbers = itertools.count()

    async def loop(channel: grpc.aio.Channel) -> None:
        call: Any = channel.unary_unary(method)
        while True:
            made = request(next(numbers))
            raw = made if isinstance(made, bytes) else made.SerializeToString()
            flood.sent += 1
            try:
                await call(raw, metadata=bearer(token), timeout=_TIMEOUT_S)
                flood.codes["OK"] += 1
            except grpc.aio.AioRpcError as error:
                flood.codes[error.code().name] += 1

    async with connections(address, connections_) as channels:
        work = (loop(channels[index % connections_]) for index in range(at_once))
        async with _beside(work):
            yield flood


@asynccontextmanager
async def submit_flood(address: str, token: str, *, at_once: int = 200, account: str = "") -> AsyncIterator[Flood]:
    """Call Submit, each time as a new customer."""

    def request(number: int) -> Message:
        return ingest_pb2.SubmitRequest(
            idempotency_key=f"flood-{number}", native_id=f"flood-{number}", text="flood", account=account
        )

    async with repeated_calls(address, SUBMIT, request, token=token, at_once=at_once) as flood:
        yield flood


@asynccontextmanager
async def submit_stream_flood(
    address: str, token: str, *, streams: int = 20, account: str = ""
) -> AsyncIterator[Flood]:
    """Call SubmitStream on several connections and write as fast as flow control allows."""
    flood = Flood()
    numbers = itertools.count()

    async def messages() -> AsyncIterator[bytes]:
        while True:
            number = next(numbers)
            flood.sent += 1
            yield ingest_pb2.SubmitStreamRequest(
                message=ingest_pb2.SubmitRequest(
                    idempotency_key=f"stream-{number}", native_id=f"stream-{number}", text="flood", account=account
                )
            ).SerializeToString()

    async def one(channel: Any) -> None:
        call = channel.stream_stream(SUBMIT_STREAM)(messages(), metadata=bearer(token))
        try:
            async for raw in call:
                answer = ingest_pb2.SubmitStreamResponse.FromString(raw)
                flood.reasons[answer.refused_reason or "ACCEPTED"] += 1
        except grpc.aio.AioRpcError as error:
            flood.codes[error.code().name] += 1
        finally:
            call.cancel()

    async with connections(address, min(streams, 8)) as channels:
        work = (one(channels[index % len(channels)]) for index in range(streams))
        async with _beside(work):
            yield flood


@asynccontextmanager
async def watch_events_flood(address: str, token: str, *, streams: int = 200) -> AsyncIterator[Flood]:
    """Open WatchEvents streams and never read further."""
    request = sla_pb2.WatchEventsRequest().SerializeToString()
    async with open_streams(
        address, WATCH_EVENTS, connections_=4, streams=streams // 4, token=token, request=request
    ) as flood:
        yield flood


@asynccontextmanager
async def health_watch_flood(address: str, *, connections_: int = 21, streams: int = 2000) -> AsyncIterator[Flood]:
    """Open anonymous health watches on a port, up to the limit of each connection."""
    async with open_streams(address, HEALTH_WATCH, connections_=connections_, streams=streams) as flood:
        yield flood


@asynccontextmanager
async def upsert_agent_flood(address: str, token: str, *, pool_chars: int = 20) -> AsyncIterator[Flood]:
    """Call UpsertAgent, each time for a new pool that no configuration names."""

    def request(number: int) -> Message:
        pool = f"invented-{number}-".ljust(pool_chars, "x")
        return router_pb2.UpsertAgentRequest(
            idempotency_key=f"u-{number}", agent=config_pb2.AgentProfile(agent_id="mallory", pool=pool)
        )

    async with repeated_calls(address, UPSERT_AGENT, request, token=token, at_once=50) as flood:
        yield flood


@asynccontextmanager
async def _beside(work: Any) -> AsyncIterator[None]:
    tasks: list[asyncio.Task[None]] = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool | Awaitable[bool]], timeout_s: float = 20) -> None:
    """Wait until a condition holds that another task makes true."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = condition()
            if (await found) if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.01)
