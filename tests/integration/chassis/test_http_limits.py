"""Every HTTP listener under attack, over real sockets and in its own process: its memory is bounded, it closes slow connections, serves others."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import websockets

from services.chassis.connections import ConnectionLimits
from services.chassis.http import HttpLimits
from tests.hostile import http_streams, slow_connections
from tests.hostile.measurement import Measurement, connect, hang_up, rss_mb, valid_meanwhile
from tests.integration.chassis.http_victim import Victim, victim

pytestmark = pytest.mark.slow

QUICK = HttpLimits(
    connections=ConnectionLimits(
        total=1500,
        per_peer=40,
        head_s=2.5,
        idle_s=1.0,
        body_s=2.0,
        progress_s=0.6,
        progress_bytes=64,
        work_s=5.0,
        write_s=1.0,
        closing_s=0.5,
    )
)
GROWTH_MB = 48


@pytest.fixture
async def server() -> AsyncIterator[Victim]:
    """A server with short deadlines."""
    async with victim(QUICK) as running:
        yield running


async def served(address: str, source: str = "") -> bool:
    """Return whether a plain request is answered."""
    reader, writer = await connect(address, source)
    try:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return (await reader.read()).startswith(b"HTTP/1.1 200")
    finally:
        hang_up(writer)


@pytest.mark.parametrize("kind", http_streams.KINDS)
async def test_a_connection_that_sends_for_ever_is_closed_early_and_uses_no_memory(
    server: Victim, kind: http_streams.Kind
) -> None:
    """Refused before three megabytes are read (later bytes of a refused client are discarded), whatever the bytes are."""
    before = rss_mb(server.pid)
    measured = await http_streams.send_for_ever(server.address, kind, 300, within_s=8)
    assert measured.still_open == 0
    assert rss_mb(server.pid) - before < 16
    if kind in ("fields", "field", "trailers", "trailer", "extension"):
        assert measured.answers == {"431": 1}
        assert measured.sent_bytes < 40 << 20  # the kernels at both ends buffer some
    if kind == "url":
        assert measured.answers == {"414": 1}
    assert await served(server.address)


@pytest.mark.parametrize("kind", slow_connections.KINDS)
async def test_slow_connections_end_at_their_deadline_and_shut_out_no_other_client(
    server: Victim, kind: slow_connections.Kind
) -> None:
    """Thirty of each kind: all are closed, and a stranger and a neighbour at the same address are served all the time."""
    measured = Measurement("others")
    path = "/large" if kind == "unread" else "/"
    async with (
        valid_meanwhile(measured, lambda: served(server.address, "127.0.0.2")),
        valid_meanwhile(measured, lambda: served(server.address)),
    ):
        attack = await slow_connections.hold(server.address, kind, 30, 6.0, path)
    assert attack.still_open == 0
    assert max(attack.open_s) < 5.5
    assert measured.valid_refused == 0, measured
    if kind in ("half_head", "dripping_head", "half_body", "dripping_body"):
        assert attack.answers["408"] == 30


async def test_a_flood_of_half_open_requests_locks_out_no_other_client(server: Victim) -> None:
    """First many times a peer's share in one burst, then as many peers as fill the table."""
    before = rss_mb(server.pid)
    measured = Measurement("others")
    async with (
        valid_meanwhile(measured, lambda: served(server.address, "127.0.0.2")),
        valid_meanwhile(measured, lambda: served(server.address)),
    ):
        await slow_connections.hold(server.address, "half_head", 600, 5.0)
    assert measured.valid_refused == 0, measured
    assert rss_mb(server.pid) - before < GROWTH_MB


async def test_a_crowd_that_fills_the_table_locks_out_no_other_client() -> None:
    """Forty peers have twenty silent connections each, four times the total."""
    few = replace(QUICK, connections=replace(QUICK.connections, total=200, head_s=6.0))
    crowd = Measurement("others of a crowd")
    async with (
        victim(few) as server,
        valid_meanwhile(crowd, lambda: served(server.address, "127.0.0.2")),
        asyncio.TaskGroup() as group,
    ):
        for peer in range(10, 50):
            group.create_task(slow_connections.hold(server.address, "silent", 20, 8.0, source=f"127.0.1.{peer}"))
    assert crowd.valid_refused == 0, crowd


async def test_a_slow_but_honest_client_is_served(server: Victim) -> None:
    """A body that keeps coming, a head in pieces, a response read in pieces: none of this is an attack."""
    reader, writer = await connect(server.address)
    body = b"x" * 1000
    for piece in (b"POST / HT", b"TP/1.1\r\nhost: x\r\nconte", b"nt-length: 1000\r\n\r\n"):
        writer.write(piece)
        await asyncio.sleep(0.1)
    for start in range(0, 1000, 100):
        writer.write(body[start : start + 100])
        await asyncio.sleep(0.12)
    assert (await reader.readuntil(b"1000")).startswith(b"HTTP/1.1 200")
    writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    size = 0
    while piece := await reader.read(1 << 16):
        size += len(piece)
        await asyncio.sleep(0.05)
    hang_up(writer)
    assert size > 1 << 20


async def test_a_client_answered_before_it_has_sent_all_reads_the_response(server: Victim) -> None:
    """The answer is 401 for two megabytes that are never read; the same connection serves the next request."""
    async with httpx.AsyncClient(timeout=10) as client:
        refused = await client.post(f"http://{server.address}/refused", content=b"x" * (2 << 20))
        again = await client.get(f"http://{server.address}/")
    assert (refused.status_code, again.status_code) == (401, 200)


async def test_requests_in_a_row_are_answered_in_order(server: Victim) -> None:
    """Pipelining within bounds is not an attack."""
    reader, writer = await connect(server.address)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 10 + b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answers = await reader.read()
    hang_up(writer)
    assert answers.count(b"HTTP/1.1 200") == 11


async def test_heads_at_their_bounds(server: Victim) -> None:
    """A hundred fields pass and a hundred and one do not; the same for the URL."""

    async def status(fields: int, url: int) -> bytes:
        reader, writer = await connect(server.address)
        head = b"GET /?" + b"x" * url + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        writer.write(head + b"".join(b"x-%d: y\r\n" % n for n in range(fields - 2)) + b"\r\n")
        answer = await reader.read()
        hang_up(writer)
        return answer[9:12]

    assert await status(100, 10) == b"200"
    assert await status(101, 10) == b"431"
    assert await status(10, (8 << 10) - 2) == b"200"
    assert await status(10, 8 << 10) == b"414"


async def test_a_websocket_takes_many_small_frames_and_not_endless_parts(server: Victim) -> None:
    """Thousands of frames in one write are echoed in order; thousands of parts of one message, or pings with unread answers, end the socket."""
    url = f"ws://{server.address}/ws"
    async with websockets.connect(url) as socket:
        for number in range(3000):
            await socket.send(str(number))
        assert [await socket.recv() for _ in range(3000)] == [str(n) for n in range(3000)]

        async def parts() -> AsyncIterator[str]:
            for _ in range(1000):
                yield ""

        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.gather(socket.send(parts()), socket.recv())
    before = rss_mb(server.pid)
    reader, writer = await connect(server.address)
    writer.write(
        b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport of a socket has it
    ping = b"\x89\xfd" + b"\0\0\0\0" + b"p" * 125

    async def ping_on() -> None:
        while True:
            writer.write(ping * 1000)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(ping_on(), 20)
    hang_up(writer)
    assert rss_mb(server.pid) - before < 16


async def test_idle_websockets_keep_their_seat_and_give_it_back(server: Victim) -> None:
    """A WebSocket outlives the deadlines of requests; after forty sockets are gone, forty others can use their seats."""
    for _ in range(3):
        sockets = [await websockets.connect(f"ws://{server.address}/ws") for _ in range(40)]
        await asyncio.sleep(1.3)
        for socket in sockets:
            await socket.send("still here")
            assert await socket.recv() == "still here"
        for socket in sockets:
            await socket.close()
    assert await served(server.address)


async def test_behind_a_trusted_proxy_shares_are_kept_by_its_clients() -> None:
    """One client with many requests in progress is refused alone; the proxy's own sockets have no share."""
    async with victim(QUICK, "127.0.0.0/8") as server, httpx.AsyncClient(timeout=10) as client:
        loud = {"x-forwarded-for": "198.51.100.7, 203.0.113.9"}
        calls = [client.get(f"http://{server.address}/late?s=4", headers=loud) for _ in range(60)]
        waiting = [asyncio.create_task(call) for call in calls]
        quiet = await client.get(f"http://{server.address}/", headers={"x-forwarded-for": "203.0.113.10"})
        codes = [(await task).status_code for task in waiting]
    assert (quiet.status_code, quiet.text) == (200, "203.0.113.10")
    assert codes.count(200) >= 40
    assert codes.count(503) > 0
    assert set(codes) == {200, 503}


async def test_memory_of_requests_needs_no_cycle_collector(server: Victim) -> None:
    """After hundreds of large bodies, half of them interrupted, no memory stays in use with the collector off."""
    await _bodies(server.address, 20)
    before = rss_mb(server.pid)
    await _bodies(server.address, 300)
    assert rss_mb(server.pid) - before < 16


async def _bodies(address: str, count: int) -> None:
    for number in range(count):
        reader, writer = await connect(address)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 500_000)
        if number % 2:
            writer.write(b"x" * 500_000)
            await reader.readuntil(b"1000000")
        else:
            await writer.drain()
        hang_up(writer)


async def test_client_deadlines_do_not_end_slow_work_of_the_server(server: Victim) -> None:
    """The client waits for us longer than any of the client's own deadlines, and gets the response."""
    async with httpx.AsyncClient() as client:
        begun = time.monotonic()
        answers = [await client.get(f"http://{server.address}/late") for _ in range(3)]
    assert [answer.text for answer in answers] == ["late"] * 3
    assert time.monotonic() - begun > 1.4
