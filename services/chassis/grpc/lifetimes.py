"""Streams end with the token that opened them: at its `exp` plus leeway, or within a second of its being revoked.

`lifetimes.serve(…)` runs the handler of a stream in the task that serves it. When the time is up the task is cancelled, so
that the handler closes what it holds, and the cancellation leaves as UNAUTHENTICATED TOKEN_EXPIRED or TOKEN_REVOKED, which the
interceptor turns into the stream's status. Each request of a stream is checked as well, so that no command is obeyed after
the end, whatever the timers do.

A stream may be found in the middle of a write, which lasts until the client reads. Its handler, which waits for that, is
closed at once: nothing more is produced and all that it held is free. The status follows what the client has still to read.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final, Self

from services.chassis.clock import Clock, system_clock
from services.chassis.errors import ChaparError
from services.chassis.tokens import Caller
from services.chassis.tokens.refusals import EXPIRED, refused
from services.chassis.tokens.revocations import Revocations

_LOOK_S: Final = 15.0
"""The clock may be corrected while a timer runs: look again at least this often."""


class Lifetimes:
    """Every open stream of a server, and what is revoked."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self.revocations = Revocations()
        self._clock = clock
        self._open: set[Lifetime] = set()

    async def serve(
        self, caller: Caller | None, handler: Callable[[Any], Any], request: Any, *, many: bool
    ) -> AsyncGenerator[Any, None]:
        """The messages of a streaming handler, while the caller's token counts; endless for a public method.

        `many`: whether `request` is an iterator of requests. Raises UNAUTHENTICATED when the token's time is up.
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

    def refusal(self, caller: Caller) -> ChaparError | None:
        """Why this caller is not served any more."""
        if self._clock() / 1000 >= caller.expires_s:
            return refused("TOKEN_EXPIRED", EXPIRED)
        if self.revocations.covers(caller):
            return refused("TOKEN_REVOKED", "the token has been revoked: sign in again")
        return None

    def revoked(self) -> None:
        """Revocations have changed: ends the streams that they cover."""
        for lifetime in list(self._open):
            lifetime.look()

    def seconds_left(self, caller: Caller) -> float:
        """Seconds until a caller's token ends."""
        return caller.expires_s - self._clock() / 1000

    def enter(self, lifetime: "Lifetime") -> None:
        """A stream begins."""
        self._open.add(lifetime)

    def leave(self, lifetime: "Lifetime") -> None:
        """A stream has ended."""
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
        """Ends the stream if its time is up, and otherwise comes back when it may be."""
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
        """A message of the handler is on its way to the client."""
        self._writing = handler

    async def wrote(self) -> None:
        """The message has been taken. Raises UNAUTHENTICATED when the stream ended meanwhile."""
        self._writing = None
        if self._closing is not None:
            await self._closing
            assert self._error is not None
            raise self._error

    def check(self) -> None:
        """Raises UNAUTHENTICATED when the token does not count any more."""
        if self._caller is not None and (error := self._lifetimes.refusal(self._caller)) is not None:
            raise error

    def checked(self, requests: AsyncIterator[Any]) -> "CheckedRequests":
        """The requests of a stream, each under a token that still counts."""
        return CheckedRequests(self, requests)


class CheckedRequests:
    """Not a generator: reading goes on after a request that was refused, if the handler wants that."""

    def __init__(self, lifetime: Lifetime, requests: AsyncIterator[Any]) -> None:
        self._lifetime = lifetime
        self._requests = aiter(requests)

    def __aiter__(self) -> "CheckedRequests":
        return self

    async def __anext__(self) -> Any:
        request = await anext(self._requests)
        self._lifetime.check()
        return request
