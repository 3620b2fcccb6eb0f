"""A desk for programs: one agent's session with the router, kept open when replicas restart and connections break.

    async with Desk("127.0.0.1:7001,127.0.0.1:7002", token, agent_id="sara") as desk:
        async for event in desk.events():                  # SessionResponse: welcome, offered, revoked, assigned, ended, …
            if event.WhichOneof("response") == "offered":
                await desk.accept(event.offered.offer_id)  # RequestResult

Heartbeats are sent automatically. After a lost connection, or when a replica asks the desk to reconnect, the desk opens a new session at the
next target with the resume token. It does the same when its token has expired and a new one is available. Requests without a result are
repeated with the same ids; the router executes each id once.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import grpc

from chapar.common.v1.types_pb2 import Selector, SentFile, TemplateChoice
from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from chapar.router.v1 import router_pb2_grpc
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.client import ClientTls, grpc_channel
from services.chassis.grpc.status import from_rpc_error
from services.chassis.ids import random_id
from services.cli.reasons import Reason

_FINAL: Final = frozenset(
    {ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED, ErrorKind.NOT_FOUND, ErrorKind.INVALID}
)
_FINAL_REASONS: Final = frozenset({"SESSION_REPLACED", "SIGNED_OUT"})
_AGAIN: Final = frozenset({"NO_RESULT_IN_TIME", Reason.BROKER_UNAVAILABLE})
_BACKOFF_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_SIGN_OUT_S: Final = 5.0
_EVENTS: Final = frozenset(
    {"welcome", "offered", "revoked", "assigned", "ended", "state_changed", "customer_acted", "reply_outcome"}
)


@dataclass(frozen=True, slots=True)
class Connection:
    """The state of a desk's connection has changed. `reason`: why it is down, with the code; empty when it is up."""

    up: bool
    target: str
    reason: str = ""


def _ignored(_connection: Connection) -> None:
    """Accept a change of the connection that no one looks at."""


class DeskClosed(Exception):  # noqa: N818 - the name says what happened
    """Raised when the desk was closed or its session ended permanently. `error` is the reason, or None if the caller closed the desk."""

    def __init__(self, error: ChaparError | None) -> None:
        super().__init__(error.message if error is not None else "the desk is closed")
        self.error = error


class Desk:
    """See the module's docstring. Use it as an async context manager; leaving the block signs the agent out."""

    def __init__(
        self,
        targets: str | Sequence[str],
        token: str | Callable[[], str],
        agent_id: str = "",
        *,
        pool: str = "",
        credits: int = 0,
        state: pb.AgentState.ValueType = pb.AGENT_STATE_UNSPECIFIED,
        tls: ClientTls | None = None,
        changed: Callable[[Connection], None] = _ignored,
    ) -> None:
        """Create a desk. `targets`: addresses of router replicas, as a list or separated by commas. `token` may be a callable that renews it.
        `changed` is called when the connection is lost and when it is back; a replica that asks the desk to reconnect is neither."""
        self._targets = [t.strip() for t in targets.split(",")] if isinstance(targets, str) else list(targets)
        self._token = token if callable(token) else lambda: token
        self._used = ""
        self._hello = api.Hello(agent_id=agent_id, pool=pool, credits=credits, state=state)
        self._tls = tls
        self._changed = changed
        self._down = False
        self._events: asyncio.Queue[api.SessionResponse | None] = asyncio.Queue()
        self._pending: dict[str, tuple[api.SessionRequest, asyncio.Future[api.RequestResult]]] = {}
        self._outgoing: asyncio.Queue[api.SessionRequest] = asyncio.Queue()
        self._welcomed = asyncio.Event()
        self._stack = AsyncExitStack()
        self._error: ChaparError | None = None
        self._over = False
        self._left = False
        self._heartbeat_s = 15.0
        self.snapshot = pb.AgentSnapshot()
        """The interactions and offers that the agent held when the newest session began."""
        self.sessions = 0
        """The number of sessions so far; more than one means that the desk has reconnected."""

    async def __aenter__(self) -> Self:
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._runner = tasks.create_task(self._run(), name=f"desk {self._hello.agent_id}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self._over and self._welcomed.is_set():
                with contextlib.suppress(TimeoutError, DeskClosed):
                    async with asyncio.timeout(_SIGN_OUT_S):
                        await self._ask(api.SessionRequest(sign_out=api.SignOut()))
        finally:
            self._end(None)
            self._runner.cancel()
            await self._stack.__aexit__(None, None, None)

    @property
    def connected(self) -> bool:
        """Whether a session is open; otherwise requests wait for the next one."""
        return self._welcomed.is_set() and not self._over

    async def welcomed(self) -> api.Welcome | None:
        """Wait until the first session is open. Raises DeskClosed when it was refused."""
        waits = asyncio.ensure_future(self._welcomed.wait())
        await asyncio.wait({waits, self._runner}, return_when=asyncio.FIRST_COMPLETED)
        waits.cancel()
        if self._over:
            raise DeskClosed(self._error)
        return None

    async def events(self) -> AsyncGenerator[api.SessionResponse, None]:
        """Yield the router's messages, except results and heartbeats. Ends when the desk closes; raises DeskClosed when the session ended
        permanently."""
        while True:
            event = await self._events.get()
            if event is None:
                self._events.put_nowait(None)  # for other tasks that read events
                if self._error is not None:
                    raise DeskClosed(self._error)
                return
            yield event

    async def next(self, kind: str) -> api.SessionResponse:
        """Return the next event of a kind ("offered", "assigned"…); other events before it are dropped."""
        async with aclosing(self.events()) as events:
            async for event in events:
                if event.WhichOneof("response") == kind:
                    return event
        raise DeskClosed(self._error)

    async def accept(self, offer_id: str) -> api.RequestResult:
        """Accept an offer."""
        return await self._ask(api.SessionRequest(accept=api.Accept(offer_id=offer_id)))

    async def decline(self, offer_id: str, reason: str = "", retry_after_ms: int = 0) -> api.RequestResult:
        """Decline an offer. With `retry_after_ms` 0 it is not offered again until the agent's next sign-in."""
        body = api.Decline(offer_id=offer_id, reason=reason, retry_after_ms=retry_after_ms)
        return await self._ask(api.SessionRequest(decline=body))

    async def reply(
        self,
        interaction_id: str,
        text: str,
        to: Sequence[str] = (),
        cc: Sequence[str] = (),
        *,
        files: Sequence[SentFile] = (),
    ) -> api.RequestResult:
        """Reply to the customer. When the result is ok, the reply is durable and will be sent once. `to`, `cc`: addresses
        of a mail; by default it goes to the customer alone."""
        body = api.Reply(interaction_id=interaction_id, text=text, to=to, cc=cc, files=files)
        return await self._ask(api.SessionRequest(reply=body))

    async def reply_by_template(self, interaction_id: str, template: TemplateChoice) -> api.RequestResult:
        """Reply with an approved template, which the provider accepts also outside its time for free replies."""
        return await self._ask(api.SessionRequest(reply=api.Reply(interaction_id=interaction_id, template=template)))

    async def complete(self, interaction_id: str, disposition: str = "") -> api.RequestResult:
        """Complete an interaction."""
        body = api.Complete(interaction_id=interaction_id, disposition=disposition)
        return await self._ask(api.SessionRequest(complete=body))

    async def transfer(
        self,
        interaction_id: str,
        *,
        queue: str = "",
        to_agent_id: str = "",
        note: str = "",
        requirements: Sequence[Selector] | None = None,
        labels: Mapping[str, str] | None = None,
        warm: bool = False,
    ) -> api.RequestResult:
        """Transfer an interaction. With `warm`, the agent holds it until another agent has accepted. `requirements` None keeps its own."""
        body = api.Transfer(
            interaction_id=interaction_id,
            queue=queue,
            to_agent_id=to_agent_id,
            note=note,
            requirements=requirements or (),
            replace_requirements=requirements is not None,
            labels=labels or {},
            warm=warm,
        )
        return await self._ask(api.SessionRequest(transfer=body))

    async def recall(self, interaction_id: str) -> api.RequestResult:
        """Take a warm transfer back."""
        return await self._ask(api.SessionRequest(recall=api.Recall(interaction_id=interaction_id)))

    async def pick(self, interaction_id: str) -> api.RequestResult:
        """Take a waiting interaction from the queue."""
        return await self._ask(api.SessionRequest(pick=api.Pick(interaction_id=interaction_id)))

    async def end_wrap_up(self, interaction_id: str) -> api.RequestResult:
        """End the wrap-up of an interaction."""
        return await self._ask(api.SessionRequest(end_wrap=api.EndWrap(interaction_id=interaction_id)))

    async def set_state(self, state: pb.AgentState.ValueType, reason: str = "") -> api.RequestResult:
        """Set the agent's state: available, away or offline."""
        return await self._ask(api.SessionRequest(state=api.StateChange(state=state, reason=reason)))

    async def grant_credits(self, credits: int) -> api.RequestResult:
        """Change how many unanswered offers the desk can show."""
        return await self._ask(api.SessionRequest(credits=api.CreditsChange(credits=credits)))

    # Internals

    async def _ask(self, request: api.SessionRequest) -> api.RequestResult:
        if self._over:
            raise DeskClosed(self._error)
        request.request_id = random_id()
        answer: asyncio.Future[api.RequestResult] = asyncio.get_running_loop().create_future()
        self._pending[request.request_id] = (request, answer)
        if self._welcomed.is_set():
            self._outgoing.put_nowait(request)
        try:
            return await answer
        finally:
            self._pending.pop(request.request_id, None)

    def _end(self, error: ChaparError | None) -> None:
        if self._over:
            return
        self._over, self._error = True, error
        self._welcomed.set()
        self._events.put_nowait(None)
        for _, answer in self._pending.values():
            if not answer.done():
                answer.set_exception(DeskClosed(error))

    async def _run(self) -> None:
        failures = 0
        while not self._over and not self._left:
            before = self.sessions
            target = self._targets[(before + failures) % len(self._targets)]
            try:
                await self._session(target)
            except ChaparError as error:
                # A session ends when its token expires; with a new token the resume token continues the session.
                renewed = error.reason == "TOKEN_EXPIRED" and self._token() != self._used
                if not renewed and (error.kind in _FINAL or error.reason in _FINAL_REASONS):
                    self._end(error)
                    return
                if not renewed and not self._down and not self._over:
                    self._down = True
                    self._changed(Connection(False, target, f"{error.reason}: {error.message}"))
            self._welcomed.clear()
            failures = 0 if self.sessions > before else failures + 1
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])

    async def _session(self, target: str) -> None:
        """Run one session at one replica until it ends. Raises ChaparError when the call failed."""
        self._outgoing = asyncio.Queue()
        self._used = token = self._token()
        async with grpc_channel(target, token=lambda _tenant: token, tls=self._tls) as channel:
            stub = router_pb2_grpc.AgentServiceStub(channel)
            stream: Any = stub.Session()
            hello = api.SessionRequest(request_id=random_id(), hello=self._hello)
            failed: grpc.aio.AioRpcError | None = None
            try:
                try:
                    await stream.write(hello)
                except asyncio.InvalidStateError:
                    # The client raises it in place of the cancellation of this task while it connects, and when the
                    # router has ended the call already: then the reader sees why.
                    if self._over:
                        raise asyncio.CancelledError from None
                async with asyncio.TaskGroup() as tasks:
                    writer = tasks.create_task(self._write(stream))
                    try:
                        await self._read(stream, target)
                    finally:
                        writer.cancel()
            except* grpc.aio.AioRpcError as group:
                failed = _first(group)  # raised here, some versions of Python would wrap it in a group again
            finally:
                stream.cancel()
            if failed is not None:
                raise from_rpc_error(failed)

    async def _read(self, stream: Any, target: str) -> None:
        async for response in stream:
            kind = response.WhichOneof("response")
            if kind == "welcome":
                self._begin(response.welcome)
                if self._down:
                    self._down = False
                    self._changed(Connection(True, target))
            elif kind == "result":
                self._resolve(response.result)
            elif kind == "reconnect":
                return
            if kind in _EVENTS:
                self._events.put_nowait(response)

    def _begin(self, welcome: api.Welcome) -> None:
        self.sessions += 1
        self.snapshot = welcome.snapshot
        self._hello.resume_token = welcome.resume_token
        self._hello.state = (
            pb.AGENT_STATE_UNSPECIFIED
        )  # a resumed session keeps the state that the agent has chosen since
        self._heartbeat_s = max(0.05, welcome.heartbeat_ms / 1000 / 2)
        for request, _ in list(self._pending.values()):
            self._outgoing.put_nowait(request)
        self._welcomed.set()

    def _resolve(self, result: api.RequestResult) -> None:
        known = self._pending.get(result.request_id)
        if known is None:
            return
        request, answer = known
        if not result.ok and result.reason in _AGAIN:
            self._outgoing.put_nowait(request)
        elif not answer.done():
            self._left = self._left or (result.ok and request.WhichOneof("request") == "sign_out")
            answer.set_result(result)

    async def _write(self, stream: Any) -> None:
        while True:
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    request = await self._outgoing.get()
            except TimeoutError:
                request = api.SessionRequest(heartbeat=api.Heartbeat())
            try:
                await stream.write(request)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # the reader sees why the call ended


def _first(group: BaseExceptionGroup[grpc.aio.AioRpcError]) -> grpc.aio.AioRpcError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, grpc.aio.AioRpcError)
    return error
