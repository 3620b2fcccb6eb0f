"""Verifies DKIM signatures one at a time in a separate process (`dkim_worker`); waiting tenants take turns.

A signature that uses up its CPU time ends the process. It is then invalid, and the next signature gets a new process.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

import msgspec

from services.chassis.logs import get_logger
from services.ingest.adapters.edges.dkim_worker import YES, Signature
from services.ingest.adapters.edges.turns import TooManyWaiting, Turns
from services.ingest.adapters.edges.worker_process import Ended, NotStarted, WorkerProcess, started

_MODULE: Final = "services.ingest.adapters.edges.dkim_worker"
_WALL_S: Final = 20.0
"""From the time at which the signature's turn begins, for a process that does not run at all. CPU time is the real limit."""
_MOST_WAITING: Final = 64


class Signatures(Protocol):
    """Verifies signatures."""

    async def holds(self, tenant: str, raw: bytes, index: int, key: bytes) -> bool:
        """Return whether the `index`-th DKIM signature of the mail is valid for the key in this TXT record. Never
        raises for any mail."""


class DkimProcess:
    """Implements `Signatures`."""

    def __init__(self, cpu_s: float, wall_s: float = _WALL_S) -> None:
        self._cpu_s = cpu_s
        self._wall_s = wall_s
        self._turns = Turns(1, _MOST_WAITING)
        self._worker: WorkerProcess | None = None
        self._log = get_logger(__name__)

    @property
    def pid(self) -> int | None:
        """Return the process id, if there is a process."""
        return self._worker.pid if self._worker is not None else None

    async def holds(self, tenant: str, raw: bytes, index: int, key: bytes) -> bool:
        """See `Signatures`. Returns False when the tenant has too many waiting."""
        request = msgspec.msgpack.encode(Signature(raw, index, key, self._cpu_s))
        try:
            async with self._turns.turn(tenant):
                return await self._asked(request)
        except TooManyWaiting:
            return False

    async def close(self) -> None:
        """End the process, even while it works."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.shield(worker.end())

    async def _asked(self, request: bytes) -> bool:
        answer = b""
        try:
            async with asyncio.timeout(self._wall_s):
                if self._worker is None or not self._worker.alive:
                    self._worker = await started(_MODULE, self._wall_s)
                answer = await self._worker.ask(request)
        except NotStarted:
            self._log.error("the process that verifies DKIM does not start")
        except (Ended, TimeoutError):
            self._log.warning("a DKIM signature was given up")
        finally:
            if not answer:  # it has ended, hangs, or still works for a caller that has disconnected
                await self.close()
        return answer == YES


@asynccontextmanager
async def dkim_process(cpu_s: float) -> AsyncIterator[DkimProcess]:
    """Yield a process that starts with the first signature and ends with the block."""
    made = DkimProcess(cpu_s)
    try:
        yield made
    finally:
        await made.close()
