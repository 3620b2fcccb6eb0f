"""A time limit that costs nothing when there is nothing to wait for."""

import asyncio
from types import TracebackType


class LateTimeout:
    """Like `asyncio.timeout`, but the timer is made only if the block still waits at the next turn of the event loop.

    Raises TimeoutError `seconds` after that. A timer costs several microseconds, and the body of most requests has arrived with its head.
    """

    __slots__ = ("_loop", "_seconds", "_start", "_timeout")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.call_soon(self._begin)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._start.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _begin(self) -> None:
        self._timeout.reschedule(self._loop.time() + self._seconds)
