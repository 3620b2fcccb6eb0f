"""The proxy spoils connections as it should: a fault that is not injected proves nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.chaos.campaign.proxy import Mode, Proxy

_SILENCE_S = 0.2
_SOON_S = 5


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Proxy, list[bytes]]]:
    """A server that notes what it receives and sends it back, behind a proxy."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                received.append(line)
                writer.write(line)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy, received


class Client:
    """A connection to the proxy that says hello."""

    def __init__(self, proxy: Proxy) -> None:
        self._port = proxy.port

    async def __aenter__(self) -> "Client":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.send(b"hello\n")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    def send(self, line: bytes) -> None:
        self._writer.write(line)

    async def hears(self, within_s: float = _SOON_S) -> bytes:
        return await asyncio.wait_for(self._reader.readline(), within_s)


async def test_bytes_pass_both_ways_and_late_when_slow(echo: tuple[Proxy, list[bytes]]) -> None:
    proxy, _ = echo
    async with Client(proxy) as client:
        assert await client.hears() == b"hello\n"
        proxy.delay_s = 0.1
        await proxy.become(Mode.SLOW)
        begun = asyncio.get_running_loop().time()
        client.send(b"again\n")
        assert await client.hears() == b"again\n"
        assert asyncio.get_running_loop().time() - begun >= 0.2


@pytest.mark.parametrize(("mode", "arrives"), [(Mode.BLACK_HOLE, []), (Mode.HALF_OPEN, [b"hello\n"])])
async def test_a_spoiled_connection_stays_open_and_is_reset_when_it_heals(
    echo: tuple[Proxy, list[bytes]], mode: Mode, arrives: list[bytes]
) -> None:
    """A black hole passes nothing; a half-open connection passes what the client sends."""
    proxy, received = echo
    await proxy.become(mode)
    async with Client(proxy) as client:
        with pytest.raises(TimeoutError):
            await client.hears(_SILENCE_S)
        assert received == arrives
        await proxy.become(Mode.PASS)
        with pytest.raises(ConnectionResetError):
            await client.hears()
    async with Client(proxy) as client:
        assert await client.hears() == b"hello\n"


async def test_connections_are_reset_and_refused(echo: tuple[Proxy, list[bytes]]) -> None:
    """An open connection ends with a reset; a new one ends before it passes a byte."""
    proxy, received = echo
    async with Client(proxy) as client:
        assert await client.hears() == b"hello\n"
        await proxy.become(Mode.REFUSE)
        with pytest.raises(ConnectionResetError):
            await client.hears()
    async with Client(proxy) as client:
        with contextlib.suppress(ConnectionResetError):
            assert await client.hears() == b""
    assert received == [b"hello\n"]
