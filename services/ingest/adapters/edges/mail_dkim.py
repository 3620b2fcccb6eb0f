"""DKIM by dkimpy, in a process of its own: its canonicalisation takes time that grows with the square of some hostile mails.

The process verifies one signature at a time within a limit of CPU time, after which the kernel ends it; the mail is then
unproven, and the next one gets a new process. It sees a mail and a public key, has no secrets and looks nothing up.
"""

import asyncio
import binascii
import contextlib
import logging
import resource
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from multiprocessing import get_context
from typing import Final, Protocol

import dkim

_MEMORY_BYTES: Final = 1 << 30
_WALL_S: Final = 20.0
"""For a process that does not run at all; CPU is what is limited."""


class Signatures(Protocol):
    """Verifies signatures."""

    async def holds(self, raw: bytes, index: int, key: bytes) -> bool:
        """Whether the `index`-th DKIM signature of the mail holds for the key in this TXT record. Never raises for any mail."""


class DkimProcess:
    """Implements `Signatures`."""

    def __init__(self, cpu_s: float) -> None:
        self._cpu_s = cpu_s
        self._pool: ProcessPoolExecutor | None = None
        self._one = asyncio.Lock()

    async def holds(self, raw: bytes, index: int, key: bytes) -> bool:
        """See `Signatures`."""
        async with self._one:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)
            try:
                async with asyncio.timeout(_WALL_S):
                    loop = asyncio.get_running_loop()
                    return await loop.run_in_executor(self._pool, _holds, raw, index, key, self._cpu_s)
            except (BrokenProcessPool, TimeoutError):
                self.close()
                return False

    def close(self) -> None:
        """Ends the process, whatever it is at."""
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def dkim_process(cpu_s: float) -> AsyncIterator[DkimProcess]:
    """A process that starts with the first signature and ends with the block."""
    made = DkimProcess(cpu_s)
    try:
        yield made
    finally:
        made.close()


def _begin() -> None:
    for number in (signal.SIGPROF, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's Ctrl-C is the parent's to answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    logging.getLogger("dkimpy").setLevel(logging.CRITICAL)  # it narrates what senders wrote


def _holds(raw: bytes, index: int, key: bytes, cpu_s: float) -> bool:
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    verifier = dkim.DKIM(minkey=1024)
    held = False
    # What dkimpy raises for signatures that are none; anything else it raises is a mail that proves nothing either.
    with contextlib.suppress(dkim.DKIMException, binascii.Error, ValueError, ArithmeticError, LookupError, TypeError):
        verifier.set_message(raw)
        held = bool(verifier.verify(idx=index, dnsfunc=lambda _name, timeout=5: key))
    signal.setitimer(signal.ITIMER_PROF, 0)
    return held
