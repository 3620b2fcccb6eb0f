"""One WebSocket connection: uvicorn's protocol under limits.

Frames are parsed a few at a time, and only as fast as the application takes them: if a client sends a thousand small frames at once, the client
waits and the event loop does not. The number of parts of a message is limited. A client that does not read its messages is disconnected.
"""

import asyncio

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from services.chassis.connections import Connections, Seat, Stage
from services.chassis.http.limits import HttpLimits

_SLICE = 4 << 10


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket connection; see the module. `take` is called at once after the connection is made."""

    _seat: Seat | None = None
    _table: Connections
    _limits: HttpLimits
    _waiting = b""
    _held = False

    def take(self, seat: Seat, table: Connections, limits: HttpLimits) -> None:
        """Take over the seat that the connection had before it became a WebSocket."""
        self._seat, self._table, self._limits = seat, table, limits
        seat.owner = self
        table.move(seat, Stage.OPEN)
        if self.transport.is_closing():
            table.move(seat, Stage.CLOSING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the seat."""
        seat, self._seat = self._seat, None
        if seat is not None:
            self._table.leave(seat)
        self._waiting = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the data that arrived; parse the frames that may be parsed."""
        if self._seat is None:
            super().data_received(data)  # the request itself, which uvicorn passes before the seat
            return
        if self.transport.is_closing():
            return
        self._waiting += data
        self._parse()

    def _parse(self) -> None:
        self._held = False
        if not self._waiting or self.read_paused or self.transport.is_closing():
            return
        piece, self._waiting = self._waiting[:_SLICE], self._waiting[_SLICE:]
        super().data_received(piece)
        if self.transport.get_write_buffer_size() > self._limits.unread_bytes:
            self.transport.abort()
        elif self._waiting and not self.read_paused:
            # Let other connections run first; meanwhile nothing more is read.
            self._held = True
            self.transport.pause_reading()
            self.loop.call_soon(self._continue)

    def _continue(self) -> None:
        if self._held and not self.transport.is_closing():
            self._held = False
            self.transport.resume_reading()
            self._parse()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next event. Further frames that arrived with it are parsed after the application has taken it."""
        message = await super().receive()
        if self._seat is not None and not self._held:
            self._parse()
        return message

    def handle_cont(self, event: Frame) -> None:
        """Handle one part of a message."""
        if len(self.frames) >= self._limits.frame_fragments:
            self.conn.fail(1008, "too many parts")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def pause_writing(self) -> None:
        """The client does not read the data that it is sent."""
        super().pause_writing()
        if self._seat is not None:
            self._table.move(self._seat, Stage.WRITE)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._seat is not None:
            self._table.move(self._seat, Stage.OPEN)

    def expire(self, stage: Stage, *, evicted: bool) -> None:
        """See `Owner`."""
        self.transport.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application has ended: the connection gets the same time to close as any other."""
        super().on_task_complete(task)
        if self._seat is not None:
            self._table.move(self._seat, Stage.CLOSING)
