"""An HTTP server in its own process, so that its memory can be measured."""

import asyncio
import contextlib
import gc
import multiprocessing
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import uvloop
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.chassis.http import HttpLimits, TrustedProxies, http_server, networks_of


def app() -> Starlette:
    """`/` answers with the client, `/large` with a megabyte, `/late` after half a second or `s`; POST answers its length; `/ws` echoes."""

    async def small(request: Request) -> Response:
        assert request.client is not None
        return Response(request.client.host)

    async def large(_request: Request) -> Response:
        return Response(b"x" * (1 << 20))

    async def take(request: Request) -> Response:
        size = 0
        try:
            async for piece in request.stream():
                size += len(piece)
        except ClientDisconnect:
            return Response(status_code=400)
        return Response(str(size))

    async def refuse(_request: Request) -> Response:
        return Response("no", status_code=401)

    async def late(request: Request) -> Response:
        await asyncio.sleep(float(request.query_params.get("s", "0.5")))
        return Response("late")

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await socket.send_text(await socket.receive_text())

    return Starlette(
        routes=[
            Route("/", small),
            Route("/large", large),
            Route("/late", late),
            Route("/", take, methods=["POST"]),
            Route("/refused", refuse, methods=["POST"]),
            WebSocketRoute("/ws", echo),
        ]
    )


@dataclass(frozen=True)
class Victim:
    """A running server."""

    address: str
    pid: int


def _serve(limits: HttpLimits, proxies: str, pipe: Connection) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
        # Memory that waits for the cycle collector counts as lost here.
        gc.disable()
        async with http_server(
            app(),
            "127.0.0.1",
            0,
            grace_s=1,
            limits=limits,
            ws_max_bytes=1 << 16,
            proxies=TrustedProxies(networks_of(proxies)),
        ) as address:
            pipe.send(address)
            await stop.wait()

    uvloop.run(main())


@asynccontextmanager
async def victim(limits: HttpLimits, proxies: str = "") -> AsyncIterator[Victim]:
    """Run the server for the time of the block."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(limits, proxies, theirs), daemon=True)
    process.start()
    try:
        address: str = await asyncio.to_thread(_received, ours, process.is_alive)
        assert process.pid is not None
        yield Victim(address, process.pid)
        assert process.is_alive(), "the server has died"
    finally:
        ours.send("stop")
        await asyncio.to_thread(process.join, 10)
        process.kill()


def _received(pipe: Connection, alive: Callable[[], bool]) -> str:
    while not pipe.poll(0.2):
        assert alive(), "the server did not start"
    address: str = pipe.recv()
    return address
