"""Ends streams with the token that opened them: at its `exp` plus leeway, or within a second after it is revoked.

`lifetimes.serve(…)` runs the handler of a stream in the task that serves it. At the end of the token the task is
cancelled, so that the handler releases its resources. The cancellation becomes UNAUTHENTICATED TOKEN_EXPIRED or TOKEN_REVOKED,
which the interceptor sets as the stream's status. Each request of a stream is checked too, so no command is executed after the
end, even if a timer is late.

A stream may end during a write, which lasts until the client reads. Its handler is closed at once, so it produces nothing
more and its resources are free. The client gets the status after the messages that it has not read yet.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final, Self

from services.chassis.clock import Clock, system_clock
from services.chassis.errors import ChaparError
from services.chassis.reasons import Reason
from services.chassis.tokens import Caller
from services.chassis.tokens.refusals import EXPIRED, refused
from services.chassis.tokens.revocations import Revocations

_LOOK_S: Final = 15.0
"""The clock may be corrected while a timer runs: look again at least this often."""


class Lifetimes:
    """The open streams of a server, and the revocations."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self.revocations = Revocations()
        self._clock = clock
        self._open: set[Lifetime] = set()

    async def serve(
        self, caller: Caller | None, handler: Callable[[Any], Any], request: Any, *, many: bool
    ) -> AsyncGenerator[Any, None]:
        """Yield the messages of a streaming handler while the caller's token is valid; without a time limit for a public method.

        `many`: whether `request` is an iterator of requests. Raises UNAUTHENTICATED when the token ends.
        """
        with Lifetime(self, caller) as lifetime:
            answers = handler(lifetime.checked(request) if many else request)
            if not hasattr(answers, "__aiter__"):
                await answers  # a handler that writes to its context itself
                return
            async with aclosing(answers):
                async for message in answers:
                    lifetime.writes(answers)
                    yield message
                    await lifetime.wrote()

    async def answer(
        self,
        caller: Caller | None,
        handler: Callable[["CheckedRequests"], Awaitable[Any]],
        requests: AsyncIterator[Any],
    ) -> Any:
        """Return the one answer to a stream of requests, which ends with the caller's token too. Raises UNAUTHENTICATED then."""
        with Lifetime(self, caller) as lifetime:
            return await handler(lifetime.checked(requests))

    def refusal(self, caller: Caller) -> ChaparError | None:
        """Return why this caller is no longer served; None while the token is valid."""
        if self._clock() / 1000 >= caller.expires_s:
            return refused(Reason.TOKEN_EXPIRED, EXPIRED)
        if self.revocations.covers(caller):
            return refused(Reason.TOKEN_REVOKED, "the token has been revoked: sign in again")
        return None

    def revoked(self) -> None:
        """End the streams that the changed revocations cover."""
        for lifetime in list(self._open):
            lifetime.look()

    def seconds_left(self, caller: Caller) -> float:
        """Return the seconds until a caller's token ends."""
        return caller.expires_s - self._clock() / 1000

    def enter(self, lifetime: "Lifetime") -> None:
        """Add a stream that begins."""
        self._open.add(lifetime)

    def leave(self, lifetime: "Lifetime") -> None:
        """Remove a stream that has ended."""
        self._open.discard(lifetime)


class Lifetime:
    """One stream: entered in the task that serves it."""

    __slots__ = ("_caller", "_closing", "_error", "_lifetimes", "_task", "_timer", "_writing")

    def __init__(self, lifetimes: Lifetimes, caller: Caller | None) -> None:
        self._lifetimes = lifetimes
        self._caller = caller
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: ChaparError | None = None
        self._writing: AsyncGenerator[Any, None] | None = None
        self._closing: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._caller is not None:
            self._task = asyncio.current_task()
            self._lifetimes.enter(self)
            self.look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lifetimes.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        task, self._task = self._task, None
        if self._error is None or task is None or self._closing is not None:
            return
        task.uncancel()
        if isinstance(error, asyncio.CancelledError):
            raise self._error from None

    def look(self) -> None:
        """End the stream if its token has ended; otherwise schedule the next check."""
        caller, task = self._caller, self._task
        if caller is None or task is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        error = self._lifetimes.refusal(caller)
        if error is None:
            left = self._lifetimes.seconds_left(caller)
            self._timer = loop.call_later(min(max(left, 0.0) + 0.001, _LOOK_S), self.look)
        elif self._error is None:
            self._error = error
            if self._writing is None:
                task.cancel()
            else:
                self._closing = loop.create_task(self._writing.aclose(), name="end of a stream")

    def writes(self, handler: AsyncGenerator[Any, None]) -> None:
        """Note that a message of the handler is being sent to the client."""
        self._writing = handler

    async def wrote(self) -> None:
        """Note that the message has been sent. Raises UNAUTHENTICATED when the stream ended meanwhile."""
        self._writing = None
        if self._closing is not None:
            await self._closing
            assert self._error is not None
            raise self._error

    def check(self) -> None:
        """Raise UNAUTHENTICATED when the token is no longer valid."""
        if self._caller is not None and (error := self._lifetimes.refusal(self._caller)) is not None:
            raise error

    def checked(self, requests: AsyncIterator[Any]) -> "CheckedRequests":
        """Return the requests of a stream; each is checked for a valid token."""
        return CheckedRequests(self, requests)


class CheckedRequests:
    """The requests of a stream. Not a generator, so that a handler can continue to read after a refused request."""

    def __init__(self, lifetime: Lifetime, requests: AsyncIterator[Any]) -> None:
        self._lifetime = lifetime
        self._requests = aiter(requests)

    def __aiter__(self) -> "CheckedRequests":
        return self

    async def __anext__(self) -> Any:
        request = await anext(self._requests)
        self._lifetime.check()
        return request
