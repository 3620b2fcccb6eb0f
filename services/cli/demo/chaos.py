"""Kills services while the demo runs: with SIGKILL, one at a time, only when the previous one is ready again; every process at least once."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable

from services.cli.local.supervisor import Supervisor

LEAST_PAUSE_S, MOST_PAUSE_S = 1.0, 3.0
READY_WITHIN_S = 60.0


class Chaos:
    """One series of kills. Run `run` in a task; `end` waits until every process was killed in the current round and all are ready again."""

    def __init__(self, supervisor: Supervisor, seed: int, say: Callable[[str], None]) -> None:
        self._supervisor = supervisor
        self._chance = random.Random(seed)  # noqa: S311 chosen to be repeatable
        self._say = say
        self._enough = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Kill in rounds until `end`; each round kills every process, in a new order."""
        while not self._enough.is_set():
            turn = sorted(self._supervisor.pids())
            self._chance.shuffle(turn)
            for name in turn:
                await asyncio.sleep(self._chance.uniform(LEAST_PAUSE_S, MOST_PAUSE_S))
                if self._supervisor.kill(name, signal.SIGKILL) is not None:
                    self._say(f"killed {name}")
                await self._supervisor.wait_ready(READY_WITHIN_S)
        self._over.set()

    async def end(self) -> None:
        """Make the current round the last one, and wait for its end."""
        self._enough.set()
        await self._over.wait()
