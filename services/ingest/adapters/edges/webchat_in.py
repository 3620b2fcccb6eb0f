"""Web chat's socket: `/v1/{tenant}/webchat/{account}/ws`.

Server to client:
    {"type": "welcome", "token": "…", "verified": false}          keep the token: it identifies you; write after it
    {"type": "message", "conversation": "…", "seq": 7, "id": "…", "from": "agent", "text": "…", "language": "fa", "at": ms,
     "files": [{"name": "a.pdf", "type": "application/pdf", "size": 12000, "url": "/files/…"}]}
    {"type": "ack", "id": "…", "message_id": "…"}                 your message is durable
    {"type": "refused", "id": "…", "reason": "…", "detail": "…", "retry_after_s": 5}   it was not accepted
    {"type": "pong"}
    {"type": "closing", "reason": "…"}                            before a close; you may reconnect

A message is acknowledged when the broker has acknowledged it; a client that did not see the ack sends it again with the
same id. Close codes: 4401 not proven, 4403 origin, 4404 account, 4408 idle, 4429 too fast, 1013 later, 1009 too big.
"""

import asyncio
import contextlib

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from services.chassis.errors import ChaparError
from services.chassis.http import peer_key
from services.chassis.ids import random_id
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter
from services.ingest.adapters.edges.originals import with_originals
from services.ingest.adapters.edges.required_secrets import require_secret
from services.ingest.adapters.edges.webchat_files import WebchatFiles
from services.ingest.adapters.edges.webchat_gate import Entry, Gate, Turned, WebchatLimits
from services.ingest.adapters.edges.webchat_hub import CHANNEL, WebchatHub
from services.ingest.adapters.edges.webchat_origin import origin_allowed, origins_of
from services.ingest.domain.limits import Bucket
from services.ingest.domain.normalise.message import Refusal
from services.ingest.domain.normalise.proof import identifier_hash
from services.ingest.domain.normalise.webchat import (
    After,
    End,
    Hello,
    Ping,
    Say,
    Typing,
    Visitor,
    as_sent,
    id_in,
    issue_token,
    parse_frame,
    said,
    visitor,
    visitor_of,
)
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Account, Accounts, ChatHistory, ChatMessage, Secrets
from services.ingest.translate.edges import chat_view, identity_id_of

NOT_PROVEN, ORIGIN, ACCOUNT, IDLE, TOO_FAST, LATER = 4401, 4403, 4404, 4408, 4429, 1013
_HELLO_S = 10.0
_WAITING_FRAMES = 512
_RESUME_MOST = 500
_SHOWN_MOST = 200
_STRIKES = 20
_FOR_ALL = 0.8
"""The share of all sockets that new visitors may use."""


class _Over(Exception):  # noqa: N818 - the name reads as what happened
    """The socket must be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Webchat:
    """Accepts sockets."""

    def __init__(
        self,
        accounts: Accounts,
        secrets: Secrets,
        ingress_limiter: IngressLimiter,
        hub: WebchatHub,
        history: ChatHistory,
        limits: WebchatLimits,
        metrics: Metrics,
        files: WebchatFiles,
    ) -> None:
        self._files = files
        self._accounts = accounts
        self._secrets = secrets
        self._ingress_limiter = ingress_limiter
        self._hub = hub
        self._history = history
        self._limits = limits
        self._gate = Gate(limits.gate)
        self._open = metrics.gauge("chapar_edge_connections").labels(CHANNEL)
        self._sockets: set[_Session] = set()
        self._log = get_logger(__name__)

    async def __call__(self, socket: WebSocket) -> None:
        """Serve one socket, until it closes."""
        await socket.accept()
        try:
            account = self._admit(socket)
        except _Over as over:
            self._ingress_limiter.refuse(CHANNEL, over.reason)
            await socket.close(over.code, over.reason)
            return
        crowded = len(self._sockets) >= self._limits.sockets * _FOR_ALL
        session = _Session(
            socket,
            account,
            self._secrets,
            self._ingress_limiter,
            self._hub,
            self._history,
            self._limits,
            self._files,
            crowded=crowded,
        )
        address = f"{account.tenant}/{account.account}/{session.peer}"
        entry = self._gate.knock(address, self._ingress_limiter.now_ms(), session.give_way)
        self._sockets.add(session)
        self._open.set(len(self._sockets))
        try:
            await session.run(entry)
        finally:
            entry.leave()
            self._sockets.discard(session)
            self._open.set(len(self._sockets))

    async def drain(self) -> None:
        """Ask every client to reconnect; another replica will accept the connection."""
        for session in tuple(self._sockets):
            session.go_elsewhere()

    def _admit(self, socket: WebSocket) -> Account:
        params = socket.path_params
        account = self._accounts.find(params["tenant"], CHANNEL, params["account"])
        if account is None:
            raise _Over(ACCOUNT, Reason.UNKNOWN_ACCOUNT)
        if not origin_allowed(socket.headers, origins_of(account, self._limits.origins)):
            raise _Over(ORIGIN, Reason.ORIGIN_REFUSED)
        if len(self._sockets) >= self._limits.sockets:
            raise _Over(LATER, "TOO_MANY_SOCKETS")
        return account


class _Session:
    """One socket. A reader handles frames in order; a writer sends queued frames, so that a slow client delays only
    itself."""

    def __init__(
        self,
        socket: WebSocket,
        account: Account,
        secrets: Secrets,
        ingress_limiter: IngressLimiter,
        hub: WebchatHub,
        history: ChatHistory,
        limits: WebchatLimits,
        files: WebchatFiles,
        *,
        crowded: bool,
    ) -> None:
        """`crowded`: new visitors are refused, so that returning visitors find capacity."""
        self.peer = peer_key(socket.client.host if socket.client is not None else "")
        self._crowded = crowded
        self._files = files
        self._socket = socket
        self._account = account
        self._secrets = secrets
        self._ingress_limiter = ingress_limiter
        self._hub = hub
        self._history = history
        self._limits = limits
        self._place = f"{account.tenant}/{account.account}"
        self._bucket = Bucket(limits.rate, ingress_limiter.now_ms())
        self._strikes = 0
        self._out: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING_FRAMES)
        self._over: _Over | None = None
        self._held: list[ChatMessage] | None = []
        self._sent: dict[str, int] = {}
        self._log = get_logger(__name__)

    async def run(self, entry: Entry) -> None:
        """Serve until either side closes."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write())
                try:
                    await self._talk(entry)
                except _Over as over:
                    self._close(over)
                except WebSocketDisconnect:
                    self._close(_Over(1000, ""))
        except* (WebSocketDisconnect, RuntimeError) as errors:
            # Starlette raises RuntimeError when the peer disconnected between two sends.
            self._log.debug("web chat socket closed", error=type(errors.exceptions[0]).__name__)

    def go_elsewhere(self) -> None:
        """End the session and ask the client to reconnect."""
        self._close(_Over(LATER, "DRAINING"))

    def give_way(self) -> None:
        """End a session that has not said hello, because too many wait at its address."""
        self._close(_Over(TOO_FAST, "TOO_MANY_SILENT_SOCKETS"))

    async def _talk(self, entry: Entry) -> None:
        hello = await self._first()
        who = self._welcome(hello, entry)
        identity_id = identity_id_of(self._account, who.native_id)
        with self._hub.listening(self._account.tenant, identity_id, self._live):
            await self._resume(identity_id, hello.after, returns=bool(hello.token or hello.identifier))
            while self._over is None:
                await self._one(who, hello)

    async def _first(self) -> Hello:
        try:
            async with asyncio.timeout(_HELLO_S):
                frame = parse_frame(await self._receive())
        except TimeoutError as error:
            raise _Over(IDLE, "HELLO_TIMEOUT") from error
        if not isinstance(frame, Hello):
            raise _Over(NOT_PROVEN, frame.reason if isinstance(frame, Refusal) else "HELLO_EXPECTED")
        return frame

    def _welcome(self, hello: Hello, entry: Entry) -> Visitor:
        """Check the proof first; limits for new visitors apply only without one."""
        now_s = self._ingress_limiter.now_ms() // 1000
        try:
            if hello.identifier:
                self._prove_login(hello.identifier, hello.identifier_hash)
                entry.returning(f"{self._place}/user:{hello.identifier}")
                who, token = visitor("", hello, verified=True), ""
            else:
                secret = require_secret(self._secrets, self._account, "visitor_token")
                known = (
                    visitor_of(hello.token, secret, self._place, now_s, self._limits.token_s) if hello.token else None
                )
                if hello.token and known is None:
                    raise self._unproven(Reason.VISITOR_TOKEN)
                if known is not None:
                    entry.returning(f"{self._place}/visitor:{known}")
                elif self._crowded:
                    raise _Over(LATER, "TOO_MANY_SOCKETS")
                else:
                    entry.newcomer(self._ingress_limiter.now_ms())
                name = known or random_id()
                who, token = visitor(name, hello, verified=False), issue_token(secret, self._place, name, now_s)
        except Turned as turned:
            self._ingress_limiter.refuse(CHANNEL, turned.reason)
            raise _Over(TOO_FAST, turned.reason) from turned
        except ChaparError as error:
            raise _Over(LATER, error.reason) from error
        self._send({"type": "welcome", "token": token, "verified": who.verified})
        return who

    def _prove_login(self, identifier: str, given: str) -> None:
        unproven = identifier_hash(require_secret(self._secrets, self._account, "identity_secret"), identifier, given)
        if unproven is not None:
            raise self._unproven(unproven.reason)

    def _unproven(self, reason: str) -> _Over:
        again = self._ingress_limiter.failed_proof(self._account, self.peer, reason)
        return _Over(NOT_PROVEN, reason) if again is None else _Over(TOO_FAST, again.reason)

    async def _resume(self, identity_id: str, after: After | None, *, returns: bool) -> None:
        """Send history first, then the live reader's messages after it; messages that arrive meanwhile are held back.

        A visitor who returns without a position (a reloaded page, a second tab) gets the newest messages of all
        conversations.
        """
        recent = self._hub.recent(self._account.tenant, identity_id)
        conversations = [after.conversation] if after is not None else []
        conversations += [each.conversation_id for each in recent if each.conversation_id not in conversations]
        try:
            if after is None and returns:
                for message in await self._history.newest(self._account.tenant, identity_id, CHANNEL, _SHOWN_MOST):
                    self._show(message)
            for conversation_id in dict.fromkeys(conversations):
                since = after.seq if after is not None and conversation_id == after.conversation else -1
                known = any(each.conversation_id == conversation_id for each in recent)
                if not known and await self._history.owner(self._account.tenant, conversation_id) != identity_id:
                    continue  # the visitor must not see another customer's conversation
                since = self._sent[conversation_id] = max(since, self._sent.get(conversation_id, -1))
                for message in await self._history.after(self._account.tenant, conversation_id, since, _RESUME_MOST):
                    if message.message.channel == CHANNEL:
                        self._show(message)
        except ChaparError as error:
            # The chat works without its history.
            self._log.warning("web chat history can't be read", reason=error.reason)
        held, self._held = self._held or [], None
        for message in (*recent, *held):
            self._show(message)

    def _live(self, message: ChatMessage) -> None:
        if self._held is not None:
            self._held.append(message)
        else:
            self._show(message)

    def _show(self, message: ChatMessage) -> None:
        if message.sequence <= self._sent.get(message.conversation_id, -1):
            return
        self._sent[message.conversation_id] = message.sequence
        files = self._files.shown(self._account.tenant, message.message)
        self._send(chat_view(message.message, message.conversation_id, message.sequence, message.occurred_at_ms, files))

    async def _one(self, who: Visitor, hello: Hello) -> None:
        try:
            async with asyncio.timeout(self._limits.idle_s):
                raw = await self._receive()
        except TimeoutError as error:
            raise _Over(IDLE, "IDLE") from error
        wait_s = self._bucket.take(self._ingress_limiter.now_ms())
        frame = parse_frame(raw)
        if wait_s > 0:
            self._too_fast(frame, wait_s)
            return
        match frame:
            case Refusal():
                self._ingress_limiter.refuse(CHANNEL, frame.reason)
                self._refuse(id_in(raw), frame.reason, f"{frame.field} {frame.description}".strip())
            case Ping():
                self._send({"type": "pong"})
            case Typing():
                pass
            case Hello():
                self._refuse("", Reason.HELLO_REPEATED, "hello must be the first frame")
            case Say() | End():
                if who.verified:
                    given = frame.identifier_hash if isinstance(frame, Say) and frame.identifier_hash else ""
                    self._prove_login(who.identifier, given or hello.identifier_hash)
                await self._take(who, frame)

    async def _take(self, who: Visitor, frame: Say | End) -> None:
        try:
            owner = identity_id_of(self._account, who.native_id)
            files = self._files.attached(self._account, owner, frame.files) if isinstance(frame, Say) else ()
            message = said(who, frame, self._ingress_limiter.now_ms(), files)
            messages = with_originals(self._account, (message,), lambda: as_sent(frame))
            taken = await self._ingress_limiter.take(self._account, messages)
            if taken.refused is not None:
                raise taken.refused
        except ChaparError as error:
            self._refuse(frame.id, error.reason, error.message, error.retry_after_s)
            return
        self._send({"type": "ack", "id": frame.id, "message_id": taken.records[0].message.message_id})

    def _too_fast(self, frame: object, wait_s: float) -> None:
        self._strikes += 1
        self._ingress_limiter.refuse(CHANNEL, Reason.SOCKET_RATE)
        if self._strikes > _STRIKES:
            raise _Over(TOO_FAST, Reason.SOCKET_RATE)
        named = frame.id if isinstance(frame, Say | End) else ""
        self._refuse(named, Reason.SOCKET_RATE, "too many frames; send it again later", max(1.0, wait_s))

    async def _receive(self) -> bytes:
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code") or 1005)
        text: str | None = event.get("text")
        # The protocol has already checked that a text frame is UTF-8.
        return text.encode("utf-8", "surrogatepass") if text is not None else bytes(event.get("bytes") or b"")

    def _refuse(self, id_: str, reason: str, detail: str, retry_after_s: float | None = None) -> None:
        body: dict[str, object] = {"type": "refused", "id": id_, "reason": reason, "detail": detail}
        if retry_after_s is not None:
            body["retry_after_s"] = retry_after_s
        self._send(body)

    def _send(self, body: dict[str, object]) -> None:
        try:
            self._out.put_nowait(msgspec.json.encode(body))
        except asyncio.QueueFull:
            self._close(_Over(LATER, "TOO_SLOW"))

    def _close(self, over: _Over) -> None:
        if self._over is None:
            self._over = over
            while self._out.full():
                self._out.get_nowait()
            self._out.put_nowait(None)

    async def _write(self) -> None:
        while (frame := await self._out.get()) is not None:
            await self._socket.send_text(frame.decode())
        over = self._over
        if over is not None and over.code != 1000 and self._socket.client_state is WebSocketState.CONNECTED:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._socket.send_text(msgspec.json.encode({"type": "closing", "reason": over.reason}).decode())
                await self._socket.close(over.code, over.reason)
