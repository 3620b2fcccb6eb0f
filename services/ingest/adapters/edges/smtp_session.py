"""One SMTP connection: aiosmtpd's protocol with limits.

It has a seat and deadlines like every HTTP connection (`services.chassis.connections`). The bytes of a mail are charged
to a budget over all sessions (`services.chassis.byte_budget`) as they arrive, and kept once (`smtp_data`). An ended
session holds no references: aiosmtpd's tables of methods and asyncio's streams refer back to the session, so they are
dropped, and memory is freed without the cycle collector.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from aiosmtpd.smtp import SMTP

from services.chassis.byte_budget import ByteBudget, Held, OverBudget
from services.chassis.connections import UNCOUNTED, Connections, Seat, Stage
from services.chassis.http import TrustedProxies, peer_key
from services.ingest.adapters.edges.smtp_data import Collector
from services.ingest.domain.reasons import Reason

_LINE_BYTES: Final = 1 << 20
"""Lines may be long: many senders write a whole HTML body on one line."""
_COMMAND_BYTES: Final = 4 << 10
_JUNK_BYTES: Final = 64 << 10
"""The maximum number of bytes between two valid commands."""
_NEVER_S: Final = 86_400.0
_CALLS: Final = {"*": 1000, "NOOP": 50, "EHLO": 10, "HELO": 10, "STARTTLS": 2, "HELP": 5, "VRFY": 5, "AUTH": 5}
_ANSWERS: Final[Mapping[str, str]] = {
    Reason.MESSAGE_TOO_LARGE: "552 5.3.4 the message is too large",
    Reason.LINE_TOO_LONG: "500 5.6.0 a line of the message is longer than a mebibyte",
    Reason.OVER_BUDGET: "452 4.3.1 too much mail arrives at once, send it again later",
}


@dataclass(frozen=True, slots=True)
class House:
    """The parts that all sessions share. `relays`: our own mail servers in front, which send for many clients and are
    exempt from limits per address."""

    connections: Connections
    budget: ByteBudget
    relays: TrustedProxies
    most_bytes: int
    changed: Callable[[int], None]
    refused: Callable[[int, str], None]


class SmtpSession(SMTP):
    """One SMTP session; see the module's docstring."""

    line_length_limit = _COMMAND_BYTES

    def __init__(self, handler: Any, house: House, gone: Callable[["SmtpSession"], None], **options: Any) -> None:
        super().__init__(
            handler, data_size_limit=house.most_bytes, command_call_limit=_CALLS, timeout=_NEVER_S, **options
        )
        self._house = house
        self._gone = gone
        self._peer = UNCOUNTED
        self._seat: Seat | None = None
        self._held: Held | None = None
        self._collector: Collector | None = None
        self._collected: asyncio.Future[None] | None = None
        self._junk = 0

    # ---- calls by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a seat, or answer that there is none. Called again when the session changes to TLS."""
        transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from it
        if self._seat is None:
            peer = transport.get_extra_info("peername")
            host = str(peer[0]) if peer else ""
            self._peer = UNCOUNTED if host in self._house.relays else peer_key(host)
            self._seat = self._house.connections.admit(self, self._peer)
            if self._seat is None:
                transport.write(b"421 4.7.0 too many connections, come again later\r\n")
                transport.close()
                return
            self._house.changed(len(self._house.connections))
        super().connection_made(transport)
        if self._handler_coroutine is not None and self._original_transport is None:
            self._handler_coroutine.add_done_callback(self._ended)

    def connection_lost(self, error: Exception | None) -> None:
        """Release everything."""
        self._release()
        if self._seat is None:
            return
        self._house.connections.leave(self._seat)
        self._seat = None
        self._house.changed(len(self._house.connections))
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Pass a mail's bytes to its collector and commands to aiosmtpd; a client that sends neither is disconnected."""
        if self._seat is None:
            return
        if self._collector is not None:
            self._collect(self._collector, data)
            return
        self._junk += len(data)
        if self._junk > _JUNK_BYTES:
            self.hang_up()
            return
        super().data_received(data)

    def eof_received(self) -> bool | None:
        """See `connection_made`."""
        return bool(super().eof_received()) if self._seat is not None else False

    def pause_writing(self) -> None:
        """Called when the client stops reading its answers."""
        super().pause_writing()
        self._enter(Stage.WRITE)

    def resume_writing(self) -> None:
        """Called when the client reads its answers again."""
        super().resume_writing()
        self._enter(Stage.WORK)

    def expire(self, stage: Stage, *, evicted: bool) -> None:
        """See `services.chassis.connections.Owner`."""
        transport = cast(asyncio.Transport | None, self.transport)
        if transport is None:
            return
        if stage in (Stage.CLOSING, Stage.WRITE) or transport.is_closing():
            transport.abort()
            return
        transport.write(b"421 4.4.2 this takes too long, or others need the place\r\n")
        transport.close()

    def hang_up(self) -> None:
        """Close the connection at once."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    # ---- commands

    def _reset_timeout(self, duration: float | None = None) -> None:
        # Called at each valid command: the bytes before it have been handled.
        self._junk = 0
        self._enter(Stage.WORK)
        self._enter(Stage.IDLE)
        super()._reset_timeout(_NEVER_S)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Replace aiosmtpd's DATA: the arriving bytes are bounded, charged, and kept once."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            await self.push("503 Error: need RCPT command")
            return
        if arg:
            await self.push("501 Syntax: DATA")
            return
        try:
            answer = await self._mail(self.envelope)
        finally:
            self._release()
            self._set_post_data_state()  # type: ignore[no-untyped-call]  # the library has no annotation
            self._enter(Stage.IDLE)
        await self.push(answer)

    async def _mail(self, envelope: Any) -> str:
        house = self._house
        if self._seat is None or not house.connections.may_work(self._seat):
            house.refused(452, Reason.PEER_BUSY)
            return "452 4.3.1 too many mails of yours arrive at once, send it again later"
        collector = Collector(house.most_bytes, _LINE_BYTES)
        self._held = house.budget.open(self._peer)
        self._collected = self.loop.create_future()
        self._enter(Stage.BODY)
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        early = len(self._reader._buffer)  # type: ignore[attr-defined]  # as aiosmtpd does: its size has no public name
        rest = await self._reader.read(early) if early else b""
        self._collector = collector
        if rest:
            self._collect(collector, rest)
        await self._collected
        self._enter(Stage.WORK)
        if collector.refusal:
            if collector.refusal == Reason.OVER_BUDGET:
                house.refused(452, Reason.BODY_BUDGET)
            return _ANSWERS[collector.refusal]
        envelope.content = envelope.original_content = collector.mail()
        answer: str = await self._call_handler_hook("DATA")
        return answer

    def _collect(self, collector: Collector, data: bytes) -> None:
        seat, held, collected = self._seat, self._held, self._collected
        if seat is None or held is None or collected is None:
            return
        seat.bytes += len(data)
        if not collector.refusal:
            try:
                held.more(len(data))
            except OverBudget:
                collector.refuse(Reason.OVER_BUDGET)
        after = collector.feed(data)
        if collector.refusal:
            held.release()
        if after is not None:
            self._collector = None
            if not collected.done():
                collected.set_result(None)
            if after:
                self.data_received(after)
        elif collector.seen > 2 * self._house.most_bytes:
            # Reading continues so that the client sees the answer, but not for ever.
            self.hang_up()

    # ---- internal

    def _enter(self, stage: Stage) -> None:
        if self._seat is not None:
            self._house.connections.move(self._seat, stage)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.release()
        self._collector = self._collected = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The session is over: remove the references back to it."""
        if not task.cancelled() and task.exception() is not None and not isinstance(task.exception(), ConnectionError):
            self.hang_up()
        self._release()
        self._gone(self)
        self._handle_hooks = {}
        self._smtp_methods = {}
        self._auth_methods = {}
        self._client_connected_cb = None
        self._set_post_data_state()  # type: ignore[no-untyped-call]  # the library has no annotation
        self._handler_coroutine = _NOTHING
        self._reader = self._writer = None  # type: ignore[assignment]  # as before the first connection
        self._tls_protocol = None


class _Nothing:
    """Replaces an ended task, whose frames would keep everything that they refer to."""

    def cancel(self) -> bool:
        return False


_NOTHING: Final[Any] = _Nothing()
