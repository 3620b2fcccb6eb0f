"""A child process that handles hostile bytes: started by exec with an empty environment, so that it has none of our
secrets.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Final

from services.ingest.adapters.edges.worker_side import LENGTH_BYTES

_MAX_REPLY: Final = 80 << 20
"""More than the files of the largest mail (`smtp_max_bytes`)."""


class NotStarted(Exception):  # noqa: N818 - the name reads as what happened
    """The process could not be started, or was not ready in time."""


class Ended(Exception):  # noqa: N818 - names what happened to a worker
    """The worker ended before it answered."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class WorkerProcess:
    """One process, and the length-prefixed messages to and from it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.asked = 0

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether the process is not known to have ended."""
        return self._process.returncode is None

    async def answer(self) -> bytes:
        """Return the next reply. Raises Ended."""
        source = self._process.stdout
        assert source is not None
        try:
            size = int.from_bytes(await source.readexactly(LENGTH_BYTES))
            if size > _MAX_REPLY:
                raise Ended(0)
            return await source.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise Ended(await self._process.wait()) from error

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the reply. Raises Ended."""
        self.asked += 1
        target = self._process.stdin
        assert target is not None
        with suppress(ConnectionError):  # it has ended: the reply says how
            target.write(len(request).to_bytes(LENGTH_BYTES))
            target.write(request)
            await target.drain()
        return await self.answer()

    async def end(self, patience_s: float = 0.0) -> None:
        """End the process: by closing its input, then by force."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._process.wait()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


async def started(module: str, within_s: float) -> WorkerProcess:
    """Start a process that runs this module and wait until it is ready. Raises NotStarted."""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath, "LANG": "C.UTF-8"}
    try:
        worker = WorkerProcess(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=environment,
                start_new_session=True,  # the service handles a signal for its process group itself
            )
        )
    except OSError as error:
        raise NotStarted from error
    ready = False
    try:
        async with asyncio.timeout(within_s):
            ready = await worker.answer() == b""
    except (Ended, TimeoutError) as error:
        raise NotStarted from error
    finally:
        if not ready:
            await asyncio.shield(worker.end())
    return worker
