"""Endpoints that send one byte at a time or hang: the whole call ends at its deadline, and other tenants' calls continue meanwhile."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from services.chassis.destinations import DEVELOPMENT
from services.chassis.outgoing import CallLimits, Outgoing
from services.chassis.pinned import pinned_client
from services.ingest.adapters.out.http import Answer, post_json, provider_client
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.retry_classes import PartResult
from services.webhooks.delivery import TAKEN, attempt, webhook_client

GOOD = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"


@dataclass
class Endpoint:
    """Answers, or begins a response and continues with one byte after the other."""

    start: bytes
    drip: bytes = b""
    every_s: float = 0.05
    port: int = 0
    under_way: int = 0
    most: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/x"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            writer.write(self.start)
            while self.drip:
                writer.write(self.drip)
                await writer.drain()
                await asyncio.sleep(self.every_s)
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is gone
        finally:
            self.under_way -= 1
            writer.transport.abort()

    async def called(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.under_way < count:  # noqa: ASYNC110 - the arrival of a call has no event
                await asyncio.sleep(0.01)


@asynccontextmanager
async def endpoint(start: bytes, drip: bytes = b"") -> AsyncIterator[Endpoint]:
    made = Endpoint(start, drip)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
        async with asyncio.timeout(10):
            while made.under_way:  # noqa: ASYNC110 - the other end's close has no event
                await asyncio.sleep(0.01)
    finally:
        server.close()


def replies(timeout_s: float, place_s: float = 20.0) -> Outgoing:
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without loading certificates: no TLS here
    return provider_client(DEVELOPMENT, timeout_s=timeout_s, place_s=place_s, tls=plain)


def hasty(call_s: float, *, place_s: float = 5.0, of_tenant: int = 4, of_host: int = 4) -> Outgoing:
    """Return a client with long read time-outs and a short deadline for the call."""
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    http = pinned_client(DEVELOPMENT, timeout_s=60, connections=8, tls=plain)
    return Outgoing(http, CallLimits(call_s=call_s, place_s=place_s, of_tenant=of_tenant, of_host=of_host))


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (HEAD, b"x"),
        (b"HTTP/1.1 200 OK\r\nx-long: ", b"y"),
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    ],
    ids=["body", "header", "headers", "informational", "chunks", "endless"],
)
async def test_a_slow_response_ends_at_the_deadline_with_an_unknown_outcome(start: bytes, drip: bytes) -> None:
    """Each byte comes in time, the whole response never; the place of the slow part does not matter."""
    async with endpoint(start, drip) as slow, hasty(0.6) as client:
        async with asyncio.timeout(20):
            result = await post_json(client, "acme", slow.url, b"{}")
    assert result == PartResult(outcome=Outcome.UNKNOWN, reason="TIMEOUT")
    assert client.known == 0


async def test_a_slow_receiver_of_notices_ends_at_the_deadline() -> None:
    """Only the head of its response counts, and the head is slow."""
    limits = CallLimits(call_s=0.6, place_s=5, of_tenant=4, of_host=4)
    async with endpoint(b"HTTP/1.1 200 OK\r\nx: ", b"y") as slow, webhook_client(DEVELOPMENT, limits=limits) as client:
        async with asyncio.timeout(20):
            assert await attempt(client, "acme", slow.url, [b"k" * 24], "msg_1", b"{}", 0) == "TIMEOUT"


async def test_the_clients_of_the_services_have_limits() -> None:
    """A whole call by the default client ends too, and later than the steps before the request is sent."""
    async with endpoint(HEAD, b"x"), replies(20) as providers, webhook_client(DEVELOPMENT) as notices:
        assert 15 + 20 <= providers._limits.call_s <= 60
        assert 0 < notices._limits.call_s <= 20
        for client in (providers, notices):
            pool = client._http._transport._pool  # type: ignore[attr-defined]  # ours
            assert client._limits.of_host <= client._limits.of_tenant <= pool._max_connections / 4
            assert client._http.timeout.pool is not None
            assert client._limits.place_s <= 30


async def test_one_tenants_slow_endpoints_do_not_affect_another_tenant() -> None:
    """However many calls it makes, it never has more than its places, and the other tenant is served at once."""
    async with endpoint(HEAD, b"x") as slow, endpoint(GOOD) as good, hasty(60) as client:
        flood = [asyncio.create_task(post_json(client, "drip", slow.url, b"{}")) for _ in range(50)]
        await slow.called(4)
        async with asyncio.timeout(5):
            answer = await post_json(client, "quiet", good.url, b"{}")
            assert await attempt(client, "quiet", good.url, [b"k" * 24], "msg_1", b"{}", 0) == TAKEN
        assert isinstance(answer, Answer)
        assert slow.most == 4
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
    assert client.known == 0


async def test_a_host_that_hangs_leaves_the_tenants_other_hosts_alone() -> None:
    """The calls wait for the host's places, not for the tenant's."""
    async with endpoint(HEAD, b"x") as slow, endpoint(GOOD) as good, hasty(60, of_tenant=4, of_host=2) as client:
        flood = [asyncio.create_task(post_json(client, "acme", slow.url, b"{}")) for _ in range(20)]
        await slow.called(2)
        async with asyncio.timeout(5):
            answer = await post_json(client, "acme", good.url.replace("127.0.0.1", "localhost"), b"{}")
        assert isinstance(answer, Answer)
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)


async def test_a_call_without_a_place_is_not_sent_and_can_be_retried() -> None:
    """The result is RETRY, and for a notice a reason that says so."""
    async with endpoint(HEAD, b"x") as slow, hasty(60, place_s=0.2, of_host=1) as client:
        first = asyncio.create_task(post_json(client, "acme", slow.url, b"{}"))
        await slow.called(1)
        second = await post_json(client, "acme", slow.url, b"{}")
        assert second == PartResult(outcome=Outcome.RETRY, reason="NO_CONNECTION")
        assert await attempt(client, "acme", slow.url, [b"k" * 24], "msg_1", b"{}", 0) == "NO_CONNECTION"
        assert slow.most == 1
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_pool_that_is_used_up_is_a_retry() -> None:
    """When the tenants together use every connection, a call waits for a bounded time and is not sent."""
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    http = pinned_client(DEVELOPMENT, timeout_s=60, connections=1, tls=plain)
    http.timeout = httpx.Timeout(60, connect=5.0, pool=0.2)
    limits = CallLimits(call_s=60, place_s=5, of_tenant=4, of_host=4)
    async with endpoint(HEAD, b"x") as slow, endpoint(GOOD) as good, Outgoing(http, limits) as client:
        first = asyncio.create_task(post_json(client, "drip", slow.url, b"{}"))
        await slow.called(1)
        second = await post_json(client, "quiet", good.url, b"{}")
        assert second == PartResult(outcome=Outcome.RETRY, reason="NO_CONNECTION")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
