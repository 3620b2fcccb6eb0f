"""One request for all who ask the same question at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def retrieved(ended: "asyncio.Future[Any]") -> None:
    """As a task's done callback: those who waited for it may all have given up, and then no caller reads its error."""
    if not ended.cancelled():
        ended.exception()


class SharedAnswer(Generic[T]):
    """Asks at most one question at a time. Everyone who begins to wait during a request shares the next one, because the answer to the
    present one may be older than they are."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._present: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def now(self) -> T:
        """Return an answer that was asked for after this call began, or raise what the question raised."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._present))
            self._next.add_done_callback(retrieved)
        return await asyncio.shield(self._next)

    async def _after(self, present: "asyncio.Task[T] | None") -> T:
        if present is not None:
            await asyncio.wait({present})
        self._present, self._next = self._next, None
        return await self._ask()
