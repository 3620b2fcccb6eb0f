"""Stage two of a lane: at most one commit in progress, which is awaited and never cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self


class CommitSlot:
    """Holds the commit in progress. Leaving the context waits until it is decided: what follows restores up to it. The writer
    bounds that time. Only a lane that is cancelled, and so restores nothing, gives up after `patience` seconds."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._task is None:
            return
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        try:
            await asyncio.wait({self._task}, timeout=self._patience if cancelled else None)
        finally:
            if not self._task.done():
                self._task.cancel()  # its outcome stays unknown to this lane; the next owner waits for it
                await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # retrieved; the code that left the context has its own failure

    def start(self, commit: Coroutine[Any, Any, None]) -> None:
        """Start a commit. The previous commit must have been settled."""
        assert self._task is None
        self._task = asyncio.create_task(commit)

    @property
    def free(self) -> bool:
        """Whether no commit is in progress."""
        return self._task is None or self._task.done()

    def check(self) -> None:
        """Raise the exception of the commit in progress, if it has ended with one."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()

    async def settle(self) -> None:
        """Wait for the commit in progress; raise its exception."""
        if self._task is not None:
            await asyncio.wait({self._task})
            self.check()
