"""One connection that sends without end: many fields, one field, a URL, trailers, chunk extensions, or pipelined requests."""

import asyncio
import time
from collections.abc import Iterator
from typing import Literal

from tests.hostile.measurement import EXCUSED, Measurement, connect, hang_up

Kind = Literal["fields", "field", "url", "trailers", "trailer", "extension", "pipeline", "chunks"]
KINDS: tuple[Kind, ...] = ("fields", "field", "url", "trailers", "trailer", "extension", "pipeline", "chunks")


def stream(kind: Kind, path: str) -> Iterator[bytes]:
    """Yield the bytes of the attack without end."""
    chunked = b"POST %s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % path.encode()
    block = b"x" * 16_000
    if kind == "fields":
        yield b"GET %s HTTP/1.1\r\n" % path.encode()
        while True:
            yield b"".join(b"x-%d: y\r\n" % number for number in range(1500))
    elif kind == "field":
        yield b"GET %s HTTP/1.1\r\nx: " % path.encode()
    elif kind == "url":
        yield b"GET %s?" % path.encode()
    elif kind == "trailers":
        yield chunked + b"1\r\nx\r\n0\r\n"
        while True:
            yield b"".join(b"x-%d: y\r\n" % number for number in range(1500))
    elif kind == "trailer":
        yield chunked + b"1\r\nx\r\n0\r\nx: "
    elif kind == "extension":
        yield chunked + b"1;x="
    elif kind == "pipeline":
        while True:
            yield b"GET %s HTTP/1.1\r\n\r\n" % path.encode() * 500
    elif kind == "chunks":
        yield chunked
        while True:
            yield b"1\r\nx\r\n" * 2500
    while True:
        yield block


async def send_for_ever(
    address: str, kind: Kind, megabytes: float, path: str = "/", source: str = "", within_s: float = 30.0
) -> Measurement:
    """Send until `megabytes` are sent or the server closes the connection. `still_open` is 1 when it never closed."""
    measured = Measurement(f"http_{kind}", connections=1)
    begun = time.monotonic()
    reader, writer = await connect(address, source)
    answered = asyncio.create_task(reader.read(64))
    try:
        async with asyncio.timeout(within_s):
            for piece in stream(kind, path):
                writer.write(piece)
                await writer.drain()
                measured.sent_bytes += len(piece)
                if measured.sent_bytes > megabytes * (1 << 20):
                    measured.still_open = 1
                    break
    except EXCUSED:
        pass  # closed by the server
    except TimeoutError:
        measured.still_open = 1
    measured.open_s.append(time.monotonic() - begun)
    if not measured.still_open:
        try:
            first = await answered
            measured.answers[first[9:12].decode("latin-1")] += 1
        except EXCUSED:
            measured.answers[""] += 1
    else:
        answered.cancel()
    hang_up(writer)
    return measured
