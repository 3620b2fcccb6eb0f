"""Kills services while the demo runs: with SIGKILL, one at a time, never before the last one is ready again."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable

from services.cli.supervisor import Supervisor

LEAST_PAUSE_S, MOST_PAUSE_S = 2.5, 5.0
READY_WITHIN_S = 40.0


async def unleash(supervisor: Supervisor, seed: int, say: Callable[[str], None]) -> None:
    """Kills for ever; every process gets its turn."""
    chance = random.Random(seed)  # noqa: S311 chosen to be repeatable
    while True:
        turn = sorted(supervisor.pids())
        chance.shuffle(turn)
        for name in turn:
            await asyncio.sleep(chance.uniform(LEAST_PAUSE_S, MOST_PAUSE_S))
            if supervisor.kill(name, signal.SIGKILL) is not None:
                say(f"killed {name}")
            await supervisor.wait_ready(READY_WITHIN_S)
