"""An HTTP server inside our own lifecycle: uvicorn without its signal handling, on a socket that is bound here.

Binding here gives the real port before the first request, and one clear sentence when the port is taken.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from services.chassis.errors import ChaparError, ErrorKind

Asgi = Callable[[Any, Any, Any], Any]


@asynccontextmanager
async def http_server(
    app: Asgi,
    host: str,
    port: int,
    *,
    grace_s: float = 5.0,
    concurrency: int | None = None,
    ws_max_bytes: int = 1 << 16,
    idle_s: int = 15,
    proxies: str | None = None,
) -> AsyncIterator[str]:
    """Serves `app` until the block ends; gives the address, `host:port`. Port 0 takes a free one.

    On leaving: no new connections, requests in progress get `grace_s` seconds. `proxies`: addresses whose
    X-Forwarded-* headers are believed; nobody's by default. Raises UNAVAILABLE PORT_IN_USE.
    """
    listener = bind(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=True,
        proxy_headers=proxies is not None,
        forwarded_allow_ips=proxies or "",
        timeout_keep_alive=idle_s,
        timeout_graceful_shutdown=max(1, int(grace_s)),
        limit_concurrency=concurrency,
        h11_max_incomplete_event_size=1 << 16,
        ws="websockets-sansio",
        ws_max_size=ws_max_bytes,
    )
    server = _Server(config)
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(server.serve([listener]), name="http")
            while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event to wait for
                await asyncio.sleep(0.005)
            try:
                yield address_of(listener)
            finally:
                server.should_exit = True
    finally:
        listener.close()


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket. Raises UNAVAILABLE PORT_IN_USE, or INVALID ADDRESS for one that is not ours."""
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
    """What to tell about an address that can't be listened on."""
    if error.errno == errno.EADDRINUSE:
        return ChaparError(
            ErrorKind.UNAVAILABLE,
            "PORT_IN_USE",
            f"port {port} on {host} is in use: stop whoever holds it, or set another port (0 takes a free one).",
        )
    if error.errno == errno.EACCES:
        return ChaparError(
            ErrorKind.INVALID,
            "PORT_FORBIDDEN",
            f"port {port} on {host} needs rights that this process lacks: set one above 1023.",
        )
    return ChaparError(
        ErrorKind.INVALID, "ADDRESS", f"can't listen on {host}:{port} ({error.strerror or error}): set another address."
    )


def address_of(listener: socket.socket) -> str:
    """`host:port` of a bound socket; an IPv6 host in brackets."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Server(uvicorn.Server):
    """Signals belong to the process's lifecycle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
