"""A TCP proxy that can spoil the connections that pass through it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
from typing import Self

_CHUNK = 1 << 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Mode(enum.Enum):
    """The treatment of the bytes."""

    PASS = "pass"
    SLOW = "slow"
    """Each piece is late by `Proxy.delay_s`."""
    BLACK_HOLE = "black hole"
    """Connections are accepted and stay open; no byte arrives at either end."""
    HALF_OPEN = "half open"
    """Bytes from clients arrive; bytes to them do not."""
    REFUSE = "refuse"
    """New connections are closed at once."""


class Proxy:
    """Passes connections from a port of its own on to `target` on this machine. Use it as an async context manager."""

    def __init__(self, target: int, port: int = 0) -> None:
        """`port`: the port to listen on; 0 chooses a free one."""
        self.target = target
        self.delay_s = 0.2
        self._wanted = port
        self._mode = Mode.PASS
        self._changed = asyncio.Condition()
        self._open: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._closing = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._closing = True
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    @property
    def port(self) -> int:
        """The port on which the proxy listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    async def become(self, mode: Mode) -> None:
        """Change what happens to bytes. After a black hole or half-open time the spoiled connections are reset: their lost
        bytes can't be made up for."""
        spoiled = self._mode in (Mode.BLACK_HOLE, Mode.HALF_OPEN)
        async with self._changed:
            self._mode = mode
            self._changed.notify_all()
        if spoiled or mode is Mode.REFUSE:
            self.reset()

    def reset(self) -> None:
        """Reset all open connections, on both ends."""
        for writer in list(self._writers):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        if self._mode is Mode.REFUSE:
            writer.transport.abort()
            return
        try:
            from_target, to_target = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to_target}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, to_target, back=False))
                both.create_task(self._pass(from_target, writer, back=True))
        except asyncio.CancelledError:
            if not self._closing:
                raise
        finally:
            self._writers -= {writer, to_target}

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, back: bool) -> None:
        with contextlib.suppress(OSError):
            try:
                while piece := await source.read(_CHUNK):
                    await self._may_pass(back)
                    target.write(piece)
                    await target.drain()
            finally:
                target.close()

    async def _may_pass(self, back: bool) -> None:
        if self._mode is Mode.SLOW:
            await asyncio.sleep(self.delay_s)
        blocked = {Mode.BLACK_HOLE, Mode.HALF_OPEN} if back else {Mode.BLACK_HOLE}
        if self._mode in blocked:
            async with self._changed:
                await self._changed.wait_for(lambda: self._mode not in blocked)
