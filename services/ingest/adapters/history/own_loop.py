"""Runs a coroutine in a thread with an event loop of its own, and calls between the two loops.

The projection writes up to a thousand rows at once. It computes for longer than the loop of the edges may be blocked.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from services.chassis.privacy.lanes import AwaitedKeys
from services.chassis.privacy.sealing import DataKey, key_ids

T = TypeVar("T")


class OwnLoop:
    """A thread for one coroutine. Create it in the loop that the coroutine calls back."""

    def __init__(self) -> None:
        self._here = asyncio.get_running_loop()
        self._there: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stop = False

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Run until `work` ends; return or raise as it does. On cancellation, cancel it and wait for its end."""
        ended: asyncio.Future[None] = self._here.create_future()

        def settle(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result(None) if error is None else ended.set_exception(error)

        def target() -> None:
            error: BaseException | None = None
            try:
                with asyncio.Runner(loop_factory=type(self._here)) as runner:
                    self._there = runner.get_loop()
                    self._task = self._there.create_task(work(), name=name)
                    if self._stop:
                        self._task.cancel()
                    self._there.run_until_complete(asyncio.wait({self._task}))
                    if not self._task.cancelled():
                        error = self._task.exception()
            finally:
                self._here.call_soon_threadsafe(settle, error)

        thread = threading.Thread(target=target, name=name)
        thread.start()
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            self._stop = True  # the thread looks at it when it has created the task
            if self._there is not None and self._task is not None:
                self._there.call_soon_threadsafe(self._task.cancel)
            await asyncio.wait({ended})
            raise
        finally:
            await asyncio.to_thread(thread.join)

    def call(self, function: Callable[[], None]) -> None:
        """From the thread: call a function in the first loop, in the order of these calls."""
        self._here.call_soon_threadsafe(function)

    async def awaited(self, work: Coroutine[Any, Any, T]) -> T:
        """From the thread: await a coroutine of the first loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._here))

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """From the first loop: await a coroutine of the thread's loop. Raises RuntimeError while it does not run."""
        if self._there is None:
            work.close()
            raise RuntimeError("the thread does not run")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._there))


class KeysElsewhere:
    """Keys of the first loop, as a reader in the thread needs them: those of the values that it has made ready."""

    def __init__(self, keys: AwaitedKeys, loop: OwnLoop) -> None:
        self._keys = keys
        self._loop = loop
        self._ready: dict[bytes, DataKey | None] = {}

    async def ready(self, values: Iterable[bytes | None]) -> None:
        """See `AwaitedKeys`. The keys of earlier values are forgotten."""
        self._ready = await self._loop.awaited(self._found(list(values)))

    def find(self, key_id: bytes) -> DataKey | None:
        """See `Keys`."""
        return self._ready.get(key_id)

    def current(self, tenant: str, owner: str) -> DataKey | None:
        """Return None: a reader seals nothing."""
        return None

    async def _found(self, values: list[bytes | None]) -> dict[bytes, DataKey | None]:
        await self._keys.ready(values)
        return {key_id: self._keys.find(key_id) for key_id in set(key_ids(values))}
