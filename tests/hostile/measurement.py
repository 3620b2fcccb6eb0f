"""What an attack did and met, and what others met meanwhile."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psutil  # type: ignore[import-untyped] # its stubs are a package of their own

EXCUSED = (ConnectionError, OSError, asyncio.IncompleteReadError)
"""How a connection ends that the other side has closed."""


@dataclass(slots=True)
class Measurement:
    """`answers`: by status or reply code, "" for a connection that ended without one. `open_s`: how long each connection lasted."""

    name: str
    connections: int = 0
    sent_bytes: int = 0
    still_open: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    open_s: list[float] = field(default_factory=list)
    valid_sent: int = 0
    valid_refused: int = 0
    valid_slowest_s: float = 0.0


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


def host_port(address: str) -> tuple[str, int]:
    """Of `host:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def connect(address: str, source: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection from the given source address."""
    host, port = host_port(address)
    return await asyncio.open_connection(host, port, local_addr=(source, 0) if source else None)


def hang_up(writer: asyncio.StreamWriter) -> None:
    """At once, without a goodbye."""
    writer.transport.abort()


@asynccontextmanager
async def valid_meanwhile(
    measured: Measurement, call: Callable[[], Awaitable[bool]], every_s: float = 0.05
) -> AsyncIterator[None]:
    """Calls `call` again and again while the block runs; it says whether it was served."""

    async def go_on() -> None:
        while True:
            begun = time.monotonic()
            try:
                served = await call()
            except EXCUSED as error:
                served = False
                measured.answers[type(error).__name__] += 1
            measured.valid_sent += 1
            measured.valid_refused += not served
            measured.valid_slowest_s = max(measured.valid_slowest_s, time.monotonic() - begun)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(go_on())
    try:
        yield
        # At least one whole call after the attack has done what it does.
        seen = measured.valid_sent
        while measured.valid_sent < seen + 2 and not task.done():  # noqa: ASYNC110 - counted, not announced
            await asyncio.sleep(every_s)
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
