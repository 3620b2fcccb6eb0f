"""SMTP sessions that send large mails and end before the mail is complete, and sessions that stay open without further commands."""

import asyncio
import ssl
import time
from collections.abc import Callable

from tests.hostile.measurement import EXCUSED, Measurement, connect, hang_up

_LINE = b"x" * 998 + b"\r\n"


async def _to_data(
    address: str, to: str, source: str, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await connect(address, source)
    await _answer(reader)
    await _say(reader, writer, "EHLO hostile.example")
    if tls is not None:
        await _say(reader, writer, "STARTTLS")
        await writer.start_tls(tls, server_hostname="localhost")
        await _say(reader, writer, "EHLO hostile.example")
    for command in ("MAIL FROM:<a@hostile.example>", f"RCPT TO:<{to}>", "DATA"):
        answer = await _say(reader, writer, command)
        if not answer.startswith((b"250", b"354")):
            hang_up(writer)
            raise ConnectionRefusedError(answer.decode("latin-1"))
    return reader, writer


async def _answer(reader: asyncio.StreamReader) -> bytes:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    if not line:
        raise ConnectionResetError
    return line


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: str) -> bytes:
    writer.write(command.encode() + b"\r\n")
    await writer.drain()
    return await _answer(reader)


async def broken_off(
    address: str,
    to: str,
    count: int,
    megabytes: float,
    *,
    source: str = "",
    tls: ssl.SSLContext | None = None,
    look: Callable[[], None] = lambda: None,
) -> Measurement:
    """Send `megabytes` in each of `count` parallel sessions, then disconnect. `look` is called when all have finished sending."""
    measured = Measurement("smtp_bodies", connections=count)
    writers: list[asyncio.StreamWriter] = []

    async def one() -> None:
        try:
            _, writer = await _to_data(address, to, source, tls)
        except EXCUSED:
            measured.answers["refused"] += 1
            return
        writers.append(writer)
        try:
            for _ in range(int(megabytes * (1 << 20)) // len(_LINE * 60)):
                writer.write(_LINE * 60)
                await writer.drain()
                measured.sent_bytes += len(_LINE * 60)
        except EXCUSED:
            measured.answers["cut"] += 1

    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
    look()
    for writer in writers:
        hang_up(writer)
    measured.open_s.append(time.monotonic() - begun)
    return measured


async def held(address: str, count: int, hold_s: float, *, source: str = "", say: bytes = b"") -> Measurement:
    """Hold sessions that send `say` and then nothing more. `still_open`: those that the server never closed."""
    measured = Measurement("smtp_held", connections=count)

    async def one() -> None:
        begun = time.monotonic()
        try:
            reader, writer = await connect(address, source)
        except EXCUSED:
            measured.answers[""] += 1
            return
        last = b""
        try:
            async with asyncio.timeout(hold_s):
                writer.write(say)
                while line := await reader.readline():
                    last = line
        except TimeoutError:
            measured.still_open += 1
        except EXCUSED:
            pass  # closed by the server
        measured.answers[last[:3].decode("latin-1")] += 1
        measured.open_s.append(time.monotonic() - begun)
        hang_up(writer)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
    return measured


async def small_mail(address: str, to: str, number: int, *, source: str = "") -> str:
    """Send an ordinary mail. Return the reply when it was refused; empty when it was accepted."""
    reader, writer = await _to_data(address, to, source, None)
    try:
        text = f"From: b@valid.example\r\nMessage-ID: <{number}@valid.example>\r\nSubject: s\r\n\r\nhello, where is my order?\r\n.\r\n"
        writer.write(text.encode())
        answer = await _answer(reader)
        return "" if answer.startswith(b"250") else answer.decode("latin-1").strip() or "closed"
    finally:
        hang_up(writer)
