"""Large webhook bodies in parallel, each with a well-formed but wrong signature, or without a signature. A body without a
signature must be refused before it is read.
"""

import asyncio
import time

from tests.hostile.measurement import EXCUSED, Measurement, connect, hang_up


def head(path: str, size: int, *, signed: bool) -> bytes:
    """Return the head of a call of the generic webhook."""
    proof = (
        f"webhook-id: msg_hostile\r\nwebhook-timestamp: {int(time.time())}\r\nwebhook-signature: v1,{'A' * 43}=\r\n"
        if signed
        else ""
    )
    return (
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n{proof}\r\n"
    ).encode()


async def send_bodies(
    address: str,
    path: str,
    count: int,
    size: int,
    *,
    source: str = "",
    signed: bool = True,
    hold_back: bool = True,
    within_s: float = 30.0,
) -> Measurement:
    """Send `count` bodies at once.

    `hold_back`: first all bytes but the last of each body are sent, so that the server holds all bodies at the same time.
    """
    measured = Measurement("webhook_bodies", connections=count)
    piece = b"x" * 65536
    ready = asyncio.Semaphore(0)
    go = asyncio.Event()

    async def one() -> None:
        begun = time.monotonic()
        try:
            reader, writer = await connect(address, source)
        except EXCUSED:
            measured.answers[""] += 1
            ready.release()
            return
        said = asyncio.ensure_future(reader.read(64))
        try:
            async with asyncio.timeout(within_s):
                writer.write(head(path, size, signed=signed))
                sent = 0
                stop = size - 1 if hold_back else size
                while sent < stop and not said.done():
                    part = piece[: min(len(piece), stop - sent)]
                    writer.write(part)
                    await writer.drain()
                    sent += len(part)
                measured.sent_bytes += sent
                ready.release()
                if hold_back:
                    await asyncio.wait([said, waiting], return_when=asyncio.FIRST_COMPLETED)
                    writer.write(b"x")
                first = await said
                measured.answers[first[9:12].decode("latin-1")] += 1
        except TimeoutError:
            measured.still_open += 1
            ready.release()
        except EXCUSED:
            measured.answers[""] += 1
            ready.release()
        finally:
            said.cancel()
        measured.open_s.append(time.monotonic() - begun)
        hang_up(writer)

    waiting = asyncio.ensure_future(go.wait())
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
        for _ in range(count):
            await ready.acquire()
        go.set()
    return measured
