"""Makes small images one at a time in a separate process (`thumbnail_worker`); waiting tenants take turns.

The process starts with the first image and is renewed from time to time. If it ends, only the image at which it worked is
affected.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.logs import get_logger
from services.ingest.adapters.edges.thumbnail_worker import Reply, Request
from services.ingest.adapters.edges.turns import TooManyWaiting, Turns
from services.ingest.adapters.edges.worker_process import Ended, NotStarted, WorkerProcess, started
from services.ingest.adapters.files.small_image import SmallImage
from services.ingest.domain.reasons import Reason

_MODULE: Final = "services.ingest.adapters.edges.thumbnail_worker"
_WALL_S: Final = 20.0
"""From the time at which the image's turn begins, for a process that does not run at all. CPU time is the real limit."""
_MOST_WAITING: Final = 64
_IMAGES: Final = 500
"""The number after which the process is renewed."""
_BY_THE_IMAGE: Final = frozenset(
    -each
    for each in (
        signal.SIGPROF,
        signal.SIGXCPU,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGABRT,
        signal.SIGFPE,
        signal.SIGILL,
    )
)
"""How an image ends the process: it used up its CPU time, or broke the library. Any other end, for example a kill for lack
of memory or an end of its input, says nothing about the image."""
_RETRY_AFTER_S: Final = 2

Ask = Callable[[bytes], Awaitable[SmallImage | None]]
"""Returns the small image of these bytes; None when there can't be one. Raises UNAVAILABLE THUMBNAILS_BUSY."""


class ThumbnailProcess:
    """Created by `thumbnail_process`."""

    def __init__(self, cpu_s: float, wall_s: float = _WALL_S) -> None:
        self._cpu_s = cpu_s
        self._wall_s = wall_s
        self._turns = Turns(1, _MOST_WAITING)
        self._worker: WorkerProcess | None = None
        self._replies = msgspec.msgpack.Decoder(Reply)
        self._log = get_logger(__name__)

    @property
    def pid(self) -> int | None:
        """Return the process id, if there is a process."""
        return self._worker.pid if self._worker is not None else None

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[Ask]:
        """Wait for the tenant's turn; the block may then ask for small images. Raises UNAVAILABLE THUMBNAILS_BUSY."""
        try:
            async with self._turns.turn(tenant):
                yield self._asked
        except TooManyWaiting as error:
            raise _busy() from error

    async def close(self) -> None:
        """End the process, even while it works."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.shield(worker.end())

    async def _asked(self, content: bytes) -> SmallImage | None:
        request = msgspec.msgpack.encode(Request(content, self._cpu_s))
        usable = False
        try:
            async with asyncio.timeout(self._wall_s):
                if self._worker is None or not self._worker.alive:
                    self._worker = await started(_MODULE, self._wall_s)
                reply = self._replies.decode(await self._worker.ask(request))
            usable = self._worker.asked < _IMAGES
        except Ended as ended:
            if ended.code not in _BY_THE_IMAGE:
                raise _busy() from ended
            self._log.info("an image ends its process", code=ended.code)
            return None
        except (NotStarted, TimeoutError, msgspec.MsgspecError) as error:
            self._log.error("the process that makes thumbnails does not answer", error=type(error).__name__)
            raise _busy() from error
        finally:
            if not usable:  # it has ended, hangs, is old, or still works for a caller that has disconnected
                await self.close()
        if reply.image is None:
            self._log.info("an image has no thumbnail", error=reply.error)
        return reply.image


@asynccontextmanager
async def thumbnail_process(cpu_s: float) -> AsyncIterator[ThumbnailProcess]:
    """Yield a process that starts with the first image and ends with the block."""
    made = ThumbnailProcess(cpu_s)
    try:
        yield made
    finally:
        await made.close()


def _busy() -> ChaparError:
    return ChaparError(
        ErrorKind.UNAVAILABLE,
        Reason.THUMBNAILS_BUSY,
        "thumbnails can't be made right now; ask again",
        retry_after_s=_RETRY_AFTER_S,
    )
