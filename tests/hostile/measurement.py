"""Measurements of an attack: its sent bytes and answers, and the service that valid callers got during it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psutil  # type: ignore[import-untyped] # its stubs are a separate package

EXCUSED = (ConnectionError, OSError, asyncio.IncompleteReadError)
"""The errors of a connection that the other side has closed."""


@dataclass(slots=True)
class Measurement:
    """The counts of one attack.

    `answers`: connections by status or reply code, "" for a connection that ended without one. `open_s`: the duration of each
    connection, in seconds. `valid_*`: the calls of a valid caller during the attack.
    """

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
    """Return the resident memory of a process, in MiB."""
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


def host_port(address: str) -> tuple[str, int]:
    """Split `host:port` into host and port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def connect(address: str, source: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection from the given source address."""
    host, port = host_port(address)
    return await asyncio.open_connection(host, port, local_addr=(source, 0) if source else None)


def hang_up(writer: asyncio.StreamWriter) -> None:
    """Abort the connection at once, without closing the protocol."""
    writer.transport.abort()


@asynccontextmanager
async def valid_meanwhile(
    measured: Measurement, call: Callable[[], Awaitable[bool]], every_s: float = 0.05
) -> AsyncIterator[None]:
    """Repeat `call` while the block runs and record the results. `call` returns whether it was served."""

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
        # At least one complete call must follow the end of the attack.
        seen = measured.valid_sent
        while measured.valid_sent < seen + 2 and not task.done():  # noqa: ASYNC110 - counted, not announced
            await asyncio.sleep(every_s)
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
