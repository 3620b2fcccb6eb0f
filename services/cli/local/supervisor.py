"""Starts processes, keeps them running, and ends them when this process ends.

The kernel ties every child to this process (see `services.cli.local.broker.tether`): however this process dies, no child is left behind. A
child that dies is restarted, at first immediately, then after growing delays. A child that dies five times within a minute stays down, and
the supervisor reports its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from services.chassis.errors import ChaparError, ErrorKind
from services.cli.local.broker import tether
from services.cli.reasons import Reason

DEATHS_IN_A_MINUTE = 5


@dataclass(frozen=True, slots=True)
class Program:
    """A version of Chapar: the interpreter of its environment, and the directory of its source."""

    python: Path
    directory: Path


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process: a module to run with an environment, and the URL that reports its readiness. `program`: None means this version."""

    name: str
    module: str
    environment: Mapping[str, str]
    ready_url: str
    program: Program | None = None


@dataclass(slots=True)
class Watched:
    """The current state of one process."""

    spec: ProcessSpec
    log: Path
    process: asyncio.subprocess.Process | None = None
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS_IN_A_MINUTE))
    restarts: int = 0
    wanted_death: bool = False
    down: bool = False


class Supervisor:
    """Runs a fixed set of processes inside `running()`."""

    def __init__(self, logs: Path, working_directory: Path, say: Callable[[str], None]) -> None:
        self._logs = logs
        self._cwd = working_directory
        self._say = say
        self._watched: dict[str, Watched] = {}
        self._stopping = False

    @contextlib.asynccontextmanager
    async def running(self, specs: list[ProcessSpec], *, ready_within_s: float = 60) -> AsyncIterator[Supervisor]:
        """Run all processes; enter the block when all are ready. Raises UNAVAILABLE with the name of the one that is not, and the end of its log."""
        async with asyncio.TaskGroup() as group:
            for spec in specs:
                watched = Watched(spec, self._logs / f"{spec.name}.log")
                self._watched[spec.name] = watched
                watched.log.unlink(missing_ok=True)
                await self._start(watched)
                group.create_task(self._keep(watched), name=f"keep {spec.name}")
            try:
                await self.wait_ready(ready_within_s)
                yield self
            finally:
                await self._stop_all()

    async def wait_ready(self, within_s: float) -> None:
        """Wait until every process reports that it is ready."""
        deadline = time.monotonic() + within_s
        async with httpx.AsyncClient(timeout=2) as http:
            for watched in self._watched.values():
                while not await _ready(http, watched.spec.ready_url):
                    if watched.down or time.monotonic() > deadline:
                        raise ChaparError(
                            ErrorKind.UNAVAILABLE,
                            Reason.NOT_READY,
                            f"{watched.spec.name} did not become ready; the end of {watched.log}:\n{_tail(watched.log)}",
                        )
                    await asyncio.sleep(0.05)

    def send(self, name: str, what: signal.Signals) -> int | None:
        """Send a signal to a process. Returns its pid, or None when it is not running now."""
        process = self._watched[name].process
        if process is None or process.returncode is not None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, what)
        return process.pid

    def kill(self, name: str, what: signal.Signals) -> int | None:
        """Send a signal that ends the process on purpose: this death does not count towards those that keep a process down."""
        pid = self.send(name, what)
        if pid is not None:
            self._watched[name].wanted_death = True
        return pid

    def move(self, name: str, program: Program | None) -> None:
        """Stop a process properly, and start it again as another version."""
        watched = self._watched[name]
        watched.spec = replace(watched.spec, program=program)
        self.kill(name, signal.SIGTERM)

    def pids(self) -> dict[str, int]:
        """Return the ids of the running processes, by name."""
        return {
            name: watched.process.pid
            for name, watched in self._watched.items()
            if watched.process is not None and watched.process.returncode is None
        }

    def restarts(self) -> dict[str, int]:
        """Return the number of restarts of each process."""
        return {name: watched.restarts for name, watched in self._watched.items()}

    async def _start(self, watched: Watched) -> None:
        spec = watched.spec
        program = spec.program or Program(Path(sys.executable), self._cwd)
        watched.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(program.directory), str(watched.log)),
            *(str(program.python), "-m", spec.module),
            env={**os.environ, **spec.environment},
        )

    async def _keep(self, watched: Watched) -> None:
        while self._may_start():
            process = watched.process
            assert process is not None
            code = await process.wait()
            if not self._may_start():
                return
            if watched.wanted_death:
                watched.wanted_death = False
                watched.restarts += 1
                await self._start(watched)
                continue
            now = time.monotonic()
            watched.deaths.append(now)
            if len(watched.deaths) == DEATHS_IN_A_MINUTE and now - watched.deaths[0] < 60:
                watched.down = True
                self._say(
                    f"{watched.spec.name} died {DEATHS_IN_A_MINUTE} times within a minute and stays down: see {watched.log}"
                )
                return
            recent = sum(1 for death in watched.deaths if now - death < 60)
            pause = 0.0 if recent == 1 else min(0.25 * 2**recent, 10)
            self._say(f"{watched.spec.name} ended ({_exit(code)}); starting it again")
            await asyncio.sleep(pause)
            if self._may_start():
                watched.restarts += 1
                await self._start(watched)

    def _may_start(self) -> bool:
        """Return whether processes may still be started. Callers ask again after each pause, because the end may have begun during it."""
        return not self._stopping

    async def _stop_all(self) -> None:
        self._stopping = True
        processes = [w.process for w in self._watched.values() if w.process is not None]
        for process in processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                    process.terminate()
        try:
            async with asyncio.timeout(20):
                await asyncio.gather(*(process.wait() for process in processes))
        except TimeoutError:
            for process in processes:
                if process.returncode is None:
                    process.kill()
            await asyncio.gather(*(process.wait() for process in processes))


async def _ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).status_code == 200
    except httpx.HTTPError:
        return False


def _exit(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"code {code}"


def _tail(log: Path, lines: int = 12) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
