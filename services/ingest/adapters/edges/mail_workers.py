"""The processes that read mails (see `mail_worker`): started by exec, kept running, renewed from time to time, ended
with the service.

If a worker is ended, only the mail that it was reading is affected. A mail that uses up its CPU time, or ends two
workers, is reported as unreadable; the caller keeps its bytes. A slow machine makes no mail unreadable: the limit is
on CPU time, not on elapsed time.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.logs import get_logger
from services.ingest.adapters.edges.mail_worker import Reply, Request
from services.ingest.adapters.edges.turns import TooManyWaiting, Turns
from services.ingest.adapters.edges.worker_process import Ended, NotStarted, WorkerProcess, started
from services.ingest.domain.normalise.message import IncomingMessage

_MODULE = "services.ingest.adapters.edges.mail_worker"
_MEGABYTE = 1 << 20
_STOP_S = 1.0
_MOST_WAITING = 256
_NO_CPU_LEFT = (-signal.SIGPROF, -signal.SIGXCPU)


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """`cpu_s`: CPU seconds for a mail up to 4 MB, more in proportion. `stuck_s`: a worker without an answer for this
    time hangs."""

    cpu_s: float
    workers: int = 2
    mails: int = 500
    stuck_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Unread:
    """No worker could read this mail; `reason` is a metric's label."""

    reason: str


class MailWorkers:
    """Reads mails in processes. Created by `mail_workers`."""

    def __init__(self, limits: WorkerLimits, module: str = _MODULE) -> None:
        """`module`: the module that a worker's process runs."""
        self._limits = limits
        self._module = module
        self._turns = Turns(limits.workers, _MOST_WAITING)
        self._idle: list[WorkerProcess] = []
        self._replies = msgspec.msgpack.Decoder(Reply)
        self._log = get_logger(__name__)

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the process ids of the workers that wait for a mail."""
        return tuple(worker.pid for worker in self._idle)

    async def read(
        self, tenant: str, raw: bytes, envelope_from: str, recipient: str, own_domain: str = "", language: str = ""
    ) -> IncomingMessage | Unread:
        """Return the message in a mail; tenants take turns. Raises UNAVAILABLE when workers can't be started or hang:
        the sender should retry."""
        cpu_s = self._limits.cpu_s * max(1.0, len(raw) / (4 * _MEGABYTE))
        request = msgspec.msgpack.encode(
            Request(raw, _storable(envelope_from), _storable(recipient), own_domain, cpu_s, language)
        )
        try:
            async with self._turns.turn(tenant):
                return await self._read(request)
        except TooManyWaiting as error:
            raise _unavailable("MAIL_WORKERS_BUSY") from error

    async def _read(self, request: bytes) -> IncomingMessage | Unread:
        try:
            return await self._asked(request)
        except Ended as ended:
            if ended.code in _NO_CPU_LEFT:
                return Unread("MAIL_CPU")
        try:
            # The worker may have been ended from outside, for lack of memory. Try once more, alone.
            return await self._asked(request)
        except Ended as ended:
            self._log.error("a mail ends its worker", code=ended.code)
            return Unread("MAIL_CPU" if ended.code in _NO_CPU_LEFT else "MAIL_CRASH")

    async def warm(self) -> None:
        """Start a worker if none is ready. Raises UNAVAILABLE."""
        self._idle.append(await self._start())

    async def close(self) -> None:
        """End all workers."""
        workers, self._idle = self._idle, []
        await asyncio.gather(*(worker.end(_STOP_S) for worker in workers))

    async def _asked(self, request: bytes) -> IncomingMessage | Unread:
        worker = await self._take()
        usable = False
        try:
            async with asyncio.timeout(self._limits.stuck_s):
                reply = self._replies.decode(await worker.ask(request))
            usable = worker.asked < self._limits.mails and not reply.error
        except TimeoutError as error:
            raise _unavailable("MAIL_WORKER_STUCK") from error
        except msgspec.MsgspecError as error:
            raise _unavailable("MAIL_WORKER_CONFUSED") from error
        finally:
            if usable:
                self._idle.append(worker)
            else:
                await asyncio.shield(worker.end())
        if reply.message is None:
            self._log.error("a mail can not be read", error=reply.error)
            return Unread("MAIL_FAULT")
        return reply.message

    async def _take(self) -> WorkerProcess:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            await worker.end()
        return await self._start()

    async def _start(self) -> WorkerProcess:
        try:
            return await started(self._module, self._limits.stuck_s)
        except NotStarted as error:
            raise _unavailable("MAIL_WORKER_NOT_STARTED") from error


@asynccontextmanager
async def mail_workers(limits: WorkerLimits) -> AsyncIterator[MailWorkers]:
    """Yield workers, one of them started, until the block ends. Raises UNAVAILABLE when none can be started."""
    workers = MailWorkers(limits)
    try:
        await workers.warm()
        yield workers
    finally:
        await workers.close()


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _unavailable(reason: str) -> ChaparError:
    return ChaparError(ErrorKind.UNAVAILABLE, reason, "mail can not be read right now")
