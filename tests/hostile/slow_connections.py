"""Connections that never finish: no head, half a head, a head or a body that arrives byte by byte, an answer that is never read,
and silence after an answer.
"""

import asyncio
import time
from typing import Literal

from tests.hostile.measurement import EXCUSED, Measurement, connect, hang_up

Kind = Literal["silent", "half_head", "dripping_head", "half_body", "dripping_body", "unread", "idle"]
KINDS: tuple[Kind, ...] = ("silent", "half_head", "dripping_head", "half_body", "dripping_body", "unread", "idle")


def opening(kind: Kind, path: str, method: str = "POST") -> bytes:
    """Return the first bytes of an attack."""
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\n".encode()
    if kind == "silent":
        return b""
    if kind in ("half_head", "dripping_head"):
        return head + b"x-begun: "
    if kind in ("half_body", "dripping_body"):
        return head + b"content-type: application/json\r\ncontent-length: 100000\r\n\r\n{"
    if kind == "idle":
        return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * 10


async def hold(
    address: str, kind: Kind, count: int, hold_s: float, path: str = "/", source: str = "", drip_s: float = 0.2
) -> Measurement:
    """Hold `count` connections at once until the server closes them or `hold_s` is over. `still_open`: those it never closed."""
    measured = Measurement(f"slow_{kind}", connections=count)

    async def one() -> None:
        try:
            reader, writer = await connect(address, source)
        except EXCUSED:
            measured.answers[""] += 1
            measured.open_s.append(0.0)
            return
        begun = time.monotonic()
        first = b""
        try:
            async with asyncio.timeout(hold_s):
                writer.write(opening(kind, path))
                measured.sent_bytes += len(opening(kind, path))
                if kind == "unread":
                    await _unread(writer, opening(kind, path))
                elif kind.startswith("dripping"):
                    first = await _drip(reader, writer, drip_s)
                else:
                    while piece := await reader.read(65536):
                        first = first or piece
        except TimeoutError:
            measured.still_open += 1
        except EXCUSED:
            pass  # closed by the server
        measured.answers[first[9:12].decode("latin-1")] += 1
        measured.open_s.append(time.monotonic() - begun)
        hang_up(writer)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
    return measured


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, every_s: float) -> bytes:
    """Send a byte every `every_s` seconds until the server answers or closes the connection. Return the answer."""
    said = asyncio.ensure_future(reader.read(65536))
    try:
        while not said.done():
            writer.write(b"x")
            await writer.drain()
            await asyncio.wait([said], timeout=every_s)
        first = said.result()
        while await reader.read(65536):
            pass
        return first
    finally:
        said.cancel()


async def _unread(writer: asyncio.StreamWriter, requests: bytes) -> None:
    """Send requests without reading the answers, until the server closes the connection."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport of a socket has it
    while True:
        writer.write(requests)
        await writer.drain()
        await asyncio.sleep(0.01)
        if writer.transport.is_closing():
            return
