"""A small HTTP server on loopback: Prometheus scrapes from it, and Alertmanager reports to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

_LARGEST: Final = 8 << 20
Answer = Callable[[str, bytes], tuple[int, str]]
"""(path, body of the request) -> status and text."""


class Web:
    """Serves until its context ends. Each connection is closed after its response."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        """host:port for clients."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                first, *lines = head.split("\r\n")
                lengths = [line.partition(":")[2] for line in lines if line.startswith("content-length:")]
                body = await reader.readexactly(min(_LARGEST, int(lengths[0]))) if lengths else b""
                status, text = self._answer(first.split(" ")[1], body)
                raw = text.encode()
                writer.write(
                    f"HTTP/1.1 {status} As Asked\r\ncontent-type: text/plain; version=0.0.4\r\n"
                    f"content-length: {len(raw)}\r\nconnection: close\r\n\r\n".encode()
                    + raw
                )
                await writer.drain()
        finally:
            writer.close()
