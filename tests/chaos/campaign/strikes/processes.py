"""Faults of the services' processes."""

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Final

from tests.chaos.campaign.fault import Strike
from tests.chaos.campaign.stage import Scene

STOP_S: Final = 9.0
"""Longer than the session time-out of lanes (6 s): the stopped process comes back as a zombie."""
_AT_POINT_WITHIN_S: Final = 20.0


def kill(*processes: str) -> Strike:
    """Kill processes with SIGKILL at a random moment."""

    async def strike(scene: Scene) -> None:
        await asyncio.sleep(scene.chance.uniform(0, 2))
        for process in processes:
            scene.stack.supervisor.kill(process, signal.SIGKILL)
        await scene.stack.supervisor.wait_ready(60)

    return strike


def stop(*processes: str) -> Strike:
    """Stop processes with SIGSTOP for longer than their session, then let them go on."""

    async def strike(scene: Scene) -> None:
        for process in processes:
            scene.stack.supervisor.send(process, signal.SIGSTOP)
        try:
            await asyncio.sleep(STOP_S)
        finally:
            for process in processes:
                scene.stack.supervisor.send(process, signal.SIGCONT)
        await scene.stack.supervisor.wait_ready(60)

    return strike


async def rolling_restart(scene: Scene) -> None:
    """Stop each process properly, one after another, and start it again."""
    for process in scene.stack.running.endpoints:
        scene.stack.supervisor.kill(process, signal.SIGTERM)
        await asyncio.sleep(0.5)
        await scene.stack.supervisor.wait_ready(60)


def kill_at(point: str, service: str) -> tuple[Strike, Mapping[str, Mapping[str, str]]]:
    """Let a process kill itself at a named point (`services.chassis.kafka.faults`): the file `armed`
    makes it do so. Returns the strike, and the variables of the processes."""

    async def strike(scene: Scene) -> None:
        run = scene.clocks.parent
        before = sum(scene.stack.supervisor.restarts().values())
        (run / "armed").touch()
        async with asyncio.timeout(_AT_POINT_WITHIN_S):
            while sum(scene.stack.supervisor.restarts().values()) == before:  # noqa: ASYNC110 - the supervisor has no event
                await asyncio.sleep(0.1)
        await scene.stack.supervisor.wait_ready(60)

    variables = {"CHAPAR_CHAOS_POINT": point, "CHAPAR_CHAOS_ARMED": "{run}/armed"}
    return strike, {service: variables}


async def nothing(scene: Scene) -> None:
    """No fault: the campaign's own noise."""
    await asyncio.sleep(5)


def kill_broker(away_s: float) -> Strike:
    """Kill the broker, and start it again after some time."""

    async def strike(scene: Scene) -> None:
        await scene.stage.broker.kill()
        await asyncio.sleep(away_s)
        await scene.stage.broker.start()
        await scene.stack.supervisor.wait_ready(60)

    return strike


async def pause_broker(scene: Scene) -> None:
    """Stop the broker with SIGSTOP for eight seconds."""
    pid = scene.stage.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(8)
    finally:
        os.kill(pid, signal.SIGCONT)
