"""A time limit that costs nearly nothing when there is nothing to wait for."""

import asyncio
from types import TracebackType


class LateTimeout:
    """Like `asyncio.timeout`, but the timer is made only if the block still waits at the next turn of the event loop.

    A timer costs several microseconds, and the body of most requests has arrived with its head. The block raises TimeoutError when it has
    waited for `seconds`. Use it once, with a plain `with`.
    """

    __slots__ = ("_cancelling", "_handle", "_loop", "_over", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle = self._loop.call_soon(self._begin)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        # As asyncio.timeout does it: a cancellation that came from outside remains one.
        if self._over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _begin(self) -> None:
        self._handle = self._loop.call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        self._over = True
        self._task.cancel()
