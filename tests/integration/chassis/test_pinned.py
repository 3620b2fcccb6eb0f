"""Requests to tenants' URLs: every address is checked, and the connection uses a checked one, whatever the resolver returns next."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from services.chassis.destinations import PUBLIC, Destinations, destinations
from services.chassis.pinned import Refused, connected_socket, pinned_client
from services.ingest.adapters.out.http import post_json, provider_client
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.retry_classes import PartResult
from services.webhooks.delivery import attempt, webhook_client
from tests.fixtures.certificates import certificate

HERE = destinations(["127.0.0.0/8"], development=False)


@dataclass
class Resolver:
    """A resolver with prepared answers; the last one is repeated."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass
class Receiver:
    """Counts connections, answers every request with 200, or with a redirect to `location`."""

    port: int = 0
    connections: int = 0
    open: int = 0
    heads: list[bytes] = field(default_factory=list)
    location: str = ""

    async def settled(self) -> None:
        """Wait until all clients have disconnected."""
        async with asyncio.timeout(10):
            while self.open:  # noqa: ASYNC110 - the other end's close has no event
                await asyncio.sleep(0.02)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                first = f"302 Found\r\nlocation: {self.location}" if self.location else "200 OK"
                writer.write(f"HTTP/1.1 {first}\r\ncontent-length: 0\r\n\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # the client is gone
        finally:
            self.open -= 1
            writer.transport.abort()


@asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver on loopback."""
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
        await made.settled()


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["93.184.215.14", "127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["169.254.169.254"],
        ["fe80::1%eth0"],
        ["nonsense"],
    ],
)
async def test_a_name_with_an_internal_address_is_refused_without_a_connection(answer: list[str]) -> None:
    """One forbidden address among allowed ones is enough."""
    async with (
        receiver() as inside,
        pinned_client(PUBLIC, timeout_s=2, connections=2, resolve=Resolver([answer])) as client,
    ):
        with pytest.raises(Refused):
            await client.post(f"https://rebind.example.com:{inside.port}/", content=b"secret")
        assert inside.connections == 0


async def test_a_name_whose_address_changes_after_the_check_gains_nothing() -> None:
    """The name is resolved once per connection: the checked address is the one that is used, and a later answer is checked again."""
    rules = destinations(["127.0.0.2"], development=False)
    server = Receiver()
    listening = await asyncio.start_server(server.serve, "127.0.0.2", 0)
    port = listening.sockets[0].getsockname()[1]
    resolver = Resolver([["127.0.0.2"], ["127.0.0.1"]])
    trap = Receiver()
    async with (
        listening,
        await asyncio.start_server(trap.serve, "127.0.0.1", port),
        pinned_client(_plain(rules, "rebind.example.com"), timeout_s=2, connections=2, resolve=resolver) as client,
    ):
        # Allowed as a network, not by name: so its addresses are checked.
        socket = await connected_socket("rebind.example.com", port, rules, Resolver([["127.0.0.2"]]))
        assert socket.getpeername() == ("127.0.0.2", port)
        socket.close()
        with pytest.raises(Refused):
            await connected_socket("rebind.example.com", port, rules, Resolver([["127.0.0.1"]]))
        answer = await client.post(f"http://rebind.example.com:{port}/", content=b"x")
        assert answer.status_code == 200
        assert resolver.asked == ["rebind.example.com"]
    assert (server.connections, trap.connections) == (2, 0)


def _plain(rules: Destinations, host: str) -> Destinations:
    """Return the same rules, plus plain http to one name."""
    return Destinations(frozenset({host}), rules.networks)


async def test_tls_is_with_the_configured_name(tmp_path: Path) -> None:
    """The connection goes to the address, SNI and certificate are the host's; another name's certificate is refused."""
    server_tls, client_tls = certificate(tmp_path, "hooks.example.com")
    seen: list[str] = []
    server_tls.sni_callback = lambda _socket, name, _context: seen.append(name)
    resolver = Resolver([["127.0.0.1"]])
    async with (
        receiver(server_tls) as outside,
        provider_client(HERE, timeout_s=2, tls=client_tls, resolve=resolver) as client,
    ):
        answer = await post_json(client, "acme", f"https://hooks.example.com:{outside.port}/x", b"{}")
        assert not isinstance(answer, PartResult)
        assert answer.status == 200
        other = await post_json(client, "acme", f"https://other.example.com:{outside.port}/x", b"{}")
        assert isinstance(other, PartResult)
        assert other.outcome is Outcome.RETRY
    assert seen == ["hooks.example.com", "other.example.com"]
    assert f"Host: hooks.example.com:{outside.port}".encode() in outside.heads[0]
    assert len(outside.heads) == 1


async def test_a_redirect_is_not_followed() -> None:
    """A redirect header does not cause a request into the internal network."""
    async with receiver() as inside, receiver() as outside, webhook_client(HERE) as client:
        outside.location = f"http://127.0.0.1:{inside.port}/metadata"
        reason = await attempt(client, "acme", f"http://127.0.0.1:{outside.port}/", [b"k" * 24], "msg_1", b"{}", 0)
        assert reason == "HTTP_302"
        assert inside.connections == 0


async def test_a_refused_url_is_an_outcome_and_not_an_exception() -> None:
    """For replies and for webhooks."""
    for url in (
        "http://127.0.0.1:1/x",
        "https://user@x.example.com/",
        "https://2130706433/",
        "https://[::1]/",
        "nonsense",
        "https://x.example.com./",
    ):
        async with provider_client(PUBLIC) as replies, webhook_client(PUBLIC) as hooks:
            result = await post_json(replies, "acme", url, b"{}")
            assert isinstance(result, PartResult)
            assert result.outcome is Outcome.HALTED
            assert result.reason in ("URL_REFUSED", "BAD_BASE_URL")
            assert await attempt(hooks, "acme", url, [b"k" * 24], "msg_1", b"{}", 0) in (
                "URL_REFUSED",
                "CONNECTION_CUT",
            )


async def test_the_next_address_is_tried_when_the_first_is_dead() -> None:
    """Clients expect this of a host with several addresses."""
    resolver = Resolver([["127.0.0.3", "127.0.0.1"]])
    async with (
        receiver() as outside,
        pinned_client(_plain(HERE, "two.example.com"), timeout_s=2, connections=1, resolve=resolver) as client,
    ):
        answer = await client.post(f"http://two.example.com:{outside.port}/", content=b"x")
    assert answer.status_code == 200


async def test_a_resolver_that_fails_is_a_connection_that_failed() -> None:
    """The call is tried again: a name without an address is not a forbidden one."""

    async def fails(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such host")

    async with provider_client(PUBLIC, resolve=fails) as client:
        result = await post_json(client, "acme", "https://nowhere.example.com/", b"{}")
    assert isinstance(result, PartResult)
    assert (result.outcome, result.reason) == (Outcome.RETRY, "NO_CONNECTION")
    with pytest.raises(httpx.ConnectError):
        async with pinned_client(PUBLIC, timeout_s=1, connections=1, resolve=fails) as plain:
            await plain.get("https://nowhere.example.com/")
