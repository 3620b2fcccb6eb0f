"""One HTTP connection: uvicorn's protocol over httptools, under the limits of `HttpLimits`.

uvicorn parses, queues and answers; this module adds the rest. Bytes are fed in slices no larger than a head may be, so anything a client sends
(endless fields, one endless field, a URL, trailers, chunk extensions) is seen and refused before it is stored. Every wait has a stage and
with it a deadline (`services.chassis.connections`). A client that is refused while it is still sending gets the response first: the server
closes its sending side, discards the bytes that arrive, and ends the connection soon after.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from services.chassis.connections import UNCOUNTED, Connections, Seat, Stage
from services.chassis.http.limits import HttpLimits
from services.chassis.http.proxies import TrustedProxies, peer_key
from services.chassis.http.websocket import GuardedWebSocket

_ANSWERS: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}
_LINGERED_BYTES: Final = 1 << 20
"""Bytes of a refused client that are read and discarded; after that, nothing is read until the connection ends."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The objects that the connections of one server share."""

    limits: HttpLimits
    connections: Connections
    proxies: TrustedProxies
    dropped: Callable[[str], None]


class GuardedConfig(uvicorn.Config):
    """uvicorn's configuration, through which its protocols find our guard."""

    guard: Guard


class GuardedHttp(HttpToolsProtocol):
    """One HTTP connection; see the module."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config, GuardedConfig)
        self._guard = config.guard
        self._limits = self._guard.limits
        self._table = self._guard.connections
        self._seat: Seat | None = None
        self._wrong = 0
        self._over = False
        self._in_head = False
        self._in_body = False
        self._began = False
        self._head_bytes = 0
        self._fields = 0
        self._without_body = 0
        self._discarded = 0

    # ---- called by the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take a seat, or answer that none is free."""
        super().connection_made(transport)
        host = self.client[0] if self.client is not None else ""
        peer = UNCOUNTED if host in self._guard.proxies else peer_key(host)
        seat = self._seat = self._table.admit(self, peer)
        if seat is None:
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the seat, and drop references that form cycles: memory must not wait for the cycle collector."""
        seat, self._seat = self._seat, None
        if seat is not None:
            self._table.leave(seat)
        super().connection_lost(exc)
        self._over = True
        for cycle, _ in self.pipeline:
            cycle.on_response = _nothing
        self.pipeline.clear()
        self.scope = None  # type: ignore[assignment]  # as before the first request
        self.headers = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Feed the parser, one slice at a time."""
        if self._over:
            self._throw_away(len(data))
            return
        size = self._limits.head_bytes
        if len(data) <= size:
            self._feed(data)
        else:
            for start in range(0, len(data), size):
                if not self._feed(data[start : start + size]):
                    return
        self._settle()

    def pause_writing(self) -> None:
        """The client does not read the data that it is sent."""
        super().pause_writing()
        if self._seat is not None:
            self._table.move(self._seat, Stage.WRITE)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._seat is not None and self._seat.stage is Stage.WRITE:
            self._table.move(self._seat, Stage.WORK)
            self._settle()

    def expire(self, stage: Stage, *, evicted: bool) -> None:
        """See `Owner`."""
        cycle = self._request()
        answered = cycle is not None and (cycle.response_started or cycle.response_complete)
        if (stage is Stage.HEAD and self._in_head and not evicted and not answered) or (
            stage is Stage.BODY and not answered
        ):
            self._refuse(408)
        elif stage is Stage.IDLE and not self.transport.get_write_buffer_size():
            self._over = True
            self.transport.close()
        else:
            self._over = True
            self.transport.abort()

    # ---- called by the parser

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = self._began = True
        self._head_bytes = self._fields = 0

    def on_url(self, url: bytes) -> None:
        """Add a part of the URL."""
        super().on_url(url)
        if len(self.url) > self._limits.url_bytes:
            self._wrong = 414

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a field, of the head or of a chunked body's trailer."""
        self._fields += 1
        if self._fields > self._limits.head_fields:
            self._wrong = 431
        elif self._in_head:
            super().on_header(name, value)
        # Trailers are not passed to the application.

    def on_headers_complete(self) -> None:
        """The head is complete: start the application, unless the head is refused."""
        self._in_head, self._in_body = False, True
        self._without_body = self._discarded = 0
        if not self._wrong and len(self.pipeline) >= self._limits.pipelined:
            self._wrong = 503
        before = self._request()
        busy = before is not None and not before.response_complete
        if busy and self.parser.should_upgrade() and self._should_upgrade():
            self._wrong = self._wrong or 400
        if not self._wrong and self._seat is not None and not self._table.may_work(self._seat):
            self._wrong = 503
        if not self._wrong:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body."""
        self._without_body = 0
        if self._seat is not None:
            self._seat.bytes += len(body)
        cycle = self._request()
        if cycle is None or self._wrong:
            return
        if cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > self._limits.discard_bytes:
                self._wrong = 413
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        self._in_body = False
        if self._request() is not None and not self._wrong:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The response is written: begin the next request, or wait for one."""
        self.server_state.total_requests += 1
        seat = self._seat
        if seat is None or self.transport.is_closing():
            if seat is not None:
                self._table.move(seat, Stage.CLOSING)
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        self._settle()

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection is a WebSocket, in the same seat."""
        super().handle_websocket_upgrade()
        self._over = True
        socket = self.transport.get_protocol()
        seat, self._seat = self._seat, None
        assert isinstance(socket, GuardedWebSocket)
        if seat is not None:
            socket.take(seat, self._table, self._limits)
        self.parser = None  # type: ignore[assignment]  # as uvicorn does at the end of a connection

    # ---- internal methods

    def _request(self) -> RequestResponseCycle | None:
        """Return the newest request; uvicorn's type does not say that there is none at first."""
        return self.cycle

    def _feed(self, data: bytes) -> bool:
        """Parse `data`. Return whether more data may follow."""
        self._began = False
        if self._in_body:
            self._without_body += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._wrong == 0 and self._should_upgrade():
                self.handle_websocket_upgrade()
                return False
        except httptools.HttpParserError:
            self._wrong = self._wrong or 400
        if self._in_head:
            # A request may begin in the middle of a slice: counting starts with the next slice.
            self._head_bytes += 0 if self._began else len(data)
            if self._head_bytes > self._limits.head_bytes:
                self._wrong = self._wrong or 431
        elif self._in_body and self._without_body > self._limits.head_bytes:
            self._wrong = self._wrong or 431
        if self._wrong:
            self._guard.dropped(f"HTTP_{self._wrong}")
            self._refuse(self._wrong)
            return False
        return True

    def _settle(self) -> None:
        """Enter the stage that the connection is in now."""
        seat, cycle = self._seat, self._request()
        if seat is None or self._over or seat.stage is Stage.WRITE:
            return
        if self._in_head:
            self._table.move(seat, Stage.HEAD)
        elif self._in_body:
            self._table.move(seat, Stage.BODY)
        elif cycle is None:
            return  # a new connection, which has sent nothing yet
        elif cycle.response_complete:
            self._table.move(seat, Stage.IDLE)
        else:
            self._table.move(seat, Stage.WORK)

    def _refuse(self, status: int) -> None:
        """Answer if no response has begun; then send nothing more, and discard a limited number of bytes that still arrive."""
        self._over = True
        cycle = self._request()
        if cycle is not None and not cycle.response_complete:
            begun = cycle.response_started
            # The application's output is ignored from here on, and its wait for a body ends.
            cycle.disconnected = True
            cycle.message_event.set()
            if begun or self.pipeline:
                self.transport.abort()
                return
        retry = b"retry-after: 5\r\n" if status == 503 else b""
        self.flow.resume_reading()
        self.transport.write(
            b"HTTP/1.1 %d %s\r\n%scontent-length: 0\r\nconnection: close\r\n\r\n" % (status, _ANSWERS[status], retry)
        )
        self._discarded = 0
        if self._seat is None or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._table.move(self._seat, Stage.CLOSING)
        self.transport.write_eof()

    def _throw_away(self, count: int) -> None:
        self._discarded += count
        if self._discarded > _LINGERED_BYTES and not self.flow.read_paused:
            # The connection is not cut: a client that is about to read the response could lose it.
            self.flow.pause_reading()

    def eof_received(self) -> None:
        """The client sends no more; a later write shows whether it still reads."""

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: callers may request any upgrade, and must not fill the log."""


def _nothing() -> None:
    """Replace a method of the connection, so that the connection can be freed."""
