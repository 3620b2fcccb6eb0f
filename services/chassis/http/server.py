"""An HTTP server inside our own lifecycle: uvicorn without its signal handling, on a socket that is bound here.

Binding here gives the real port before the first request, and one clear error message when the port is in use.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import uvicorn

from services.chassis.connections import Connections
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.http.clients import Asgi, Clients
from services.chassis.http.limits import HttpLimits
from services.chassis.http.protocol import Guard, GuardedConfig, GuardedHttp
from services.chassis.http.proxies import TrustedProxies
from services.chassis.http.websocket import GuardedWebSocket
from services.chassis.reasons import Reason

_SWEEP_S: Final = 0.2


@asynccontextmanager
async def http_server(
    app: Asgi,
    host: str,
    port: int,
    *,
    grace_s: float = 5.0,
    limits: HttpLimits | None = None,
    ws_max_bytes: int | None = None,
    proxies: TrustedProxies | None = None,
    dropped: Callable[[str], None] = lambda _reason: None,
) -> AsyncIterator[str]:
    """Serve `app` until the block ends; yield the address, `host:port`. Port 0 takes a free one.

    At the end no new connections are accepted and requests in progress get `grace_s` seconds. `ws_max_bytes`: the largest WebSocket message; without
    it, WebSockets are refused. `proxies`: the proxies whose X-Forwarded-For is trusted; none by default. `dropped` is called with the reason, a short
    word, when a connection is closed or refused. Raises UNAVAILABLE PORT_IN_USE.
    """
    limits = limits or HttpLimits()
    proxies = proxies or TrustedProxies()
    listener = bind(host, port)
    most = replace(limits.connections, total=min(limits.connections.total, _files() * 3 // 4))
    table = Connections(most, asyncio.get_running_loop().time, dropped)
    config = GuardedConfig(
        Clients(app, proxies, most.per_peer, dropped) if proxies else app,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        lifespan="off",
        interface="asgi3",
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, int(grace_s)),
        http=GuardedHttp,
        ws=GuardedWebSocket if ws_max_bytes is not None else "none",
        ws_max_size=ws_max_bytes or 0,
    )
    config.guard = Guard(limits, table, proxies, dropped)
    server = _Server(config)
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(server.serve([listener]), name="http")
            await server.accepting.wait()
            sweeper = group.create_task(_sweep(table), name="http deadlines")
            try:
                yield address_of(listener)
            finally:
                server.should_exit = True
                await asyncio.wait([task])
                sweeper.cancel()
    finally:
        listener.close()


async def _sweep(table: Connections) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        table.sweep()


def _files() -> int:
    """Return how many files this process may open: above it no connection is accepted any more, not even one of the probes."""
    if sys.platform == "win32":
        return 1 << 20
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20


def bind(host: str, port: int) -> socket.socket:
    """Return a bound TCP socket. Raises UNAVAILABLE PORT_IN_USE, or INVALID ADDRESS for an address that this machine does not have."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise bind_error(host, port, error) from error
    return listener


def bind_error(host: str, port: int, error: OSError) -> ChaparError:
    """Return the error for an address that the process cannot listen on."""
    if error.errno == errno.EADDRINUSE:
        return ChaparError(
            ErrorKind.UNAVAILABLE,
            Reason.PORT_IN_USE,
            f"port {port} on {host} is in use: stop the program that uses it, or set another port (0 takes a free one).",
        )
    if error.errno == errno.EACCES:
        return ChaparError(
            ErrorKind.INVALID,
            Reason.PORT_FORBIDDEN,
            f"port {port} on {host} needs rights that this process lacks: set one above 1023.",
        )
    return ChaparError(
        ErrorKind.INVALID,
        Reason.ADDRESS,
        f"cannot listen on {host}:{port} ({error.strerror or error}): set another address.",
    )


def address_of(listener: socket.socket) -> str:
    """Return `host:port` of a bound socket; an IPv6 host is in brackets."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Server(uvicorn.Server):
    """A server without signal handling: signals belong to the process's lifecycle."""

    def __init__(self, config: GuardedConfig) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()
        """Set when the server accepts connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and note it; uvicorn has only a flag, which must be polled."""
        await super().startup(sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
