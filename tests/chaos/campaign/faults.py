"""The faults of the campaign. Each injects itself, lasts, and heals; `FAULTS` is the table of all."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.chaos.campaign.stage import Scene

_NO_VARIABLES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({})
STOP_S: Final = 9.0
"""Longer than the session time-out of lanes (6 s): the stopped process comes back as a zombie."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `strike` returns when it has healed."""

    name: str
    strike: Callable[[Scene], Coroutine[None, None, None]]
    late_s: float = 12.0
    """How late timers may be: the longest outage that the fault causes, and the pace of a busy machine."""
    of_service: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: _NO_VARIABLES)
    """Variables of the processes of each service."""


def kill(*processes: str) -> Callable[[Scene], Coroutine[None, None, None]]:
    """Kill processes with SIGKILL at a random moment."""

    async def strike(scene: Scene) -> None:
        await asyncio.sleep(scene.chance.uniform(0, 2))
        for process in processes:
            scene.stack.supervisor.kill(process, signal.SIGKILL)
        await scene.stack.supervisor.wait_ready(60)

    return strike


def stop(*processes: str) -> Callable[[Scene], Coroutine[None, None, None]]:
    """Stop processes with SIGSTOP for longer than their session, then let them go on."""

    async def strike(scene: Scene) -> None:
        for process in processes:
            scene.stack.supervisor.send(process, signal.SIGSTOP)
        await asyncio.sleep(STOP_S)
        for process in processes:
            scene.stack.supervisor.send(process, signal.SIGCONT)
        await scene.stack.supervisor.wait_ready(60)

    return strike


async def nothing(scene: Scene) -> None:
    """No fault: the campaign's own noise."""
    await asyncio.sleep(5)


async def kill_broker(scene: Scene) -> None:
    """Kill the broker, and start it again two seconds later."""
    await scene.stage.broker.kill()
    await asyncio.sleep(2)
    await scene.stage.broker.start()


async def pause_broker(scene: Scene) -> None:
    """Stop the broker with SIGSTOP for eight seconds."""
    pid = scene.stage.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(8)
    finally:
        os.kill(pid, signal.SIGCONT)


FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        fault.name: fault
        for fault in (
            Fault("none", nothing),
            Fault("kill router", kill("router")),
            Fault("kill ingest", kill("ingest")),
            Fault("kill sla", kill("sla")),
            Fault("kill feedback", kill("feedback")),
            Fault("kill everything", kill("router", "router-2", "ingest", "sla", "feedback"), late_s=20),
            Fault("stop router", stop("router"), late_s=20),
            Fault("stop ingest", stop("ingest"), late_s=20),
            Fault("stop sla", stop("sla"), late_s=20),
            Fault("stop feedback", stop("feedback"), late_s=20),
            Fault("kill broker", kill_broker, late_s=25),
            Fault("pause broker", pause_broker, late_s=25),
        )
    }
)
