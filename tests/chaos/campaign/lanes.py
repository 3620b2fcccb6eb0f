"""The lanes of a run as an operator sees them: positions, refused partitions, and `chapar lanes reset`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx

from services.chassis.clock import system_clock
from services.chassis.kafka.contract import LaneSpec
from services.cli.lane_repairs import situations
from services.cli.local.broker.settings import CHECKOUT
from services.cli.local.stack import service_of
from tests.chaos.campaign.stage import Scene

_REFUSED: Final = re.compile(
    r'^chapar_lane_refused\{lane="(.+?)",partition="(\d+)",reason="(.+?)"\} 1\.0$', re.MULTILINE
)
_LOOK_S: Final = 0.5
_COMMAND_S: Final = 60.0
Refusals = Mapping[tuple[str, int], str]
"""Reasons, by lane and partition."""


async def until(condition: Callable[[], Awaitable[bool]], what: Callable[[], object], within_s: float) -> None:
    """Wait for a condition. Raises AssertionError with `what` when it does not come true in time."""
    end = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < end, f"not within {within_s:g} s: {what()}"
        await asyncio.sleep(_LOOK_S)


async def positions(scene: Scene, lane: LaneSpec) -> dict[int, int]:
    """Return the durable position of each partition that has one."""
    found = await situations(scene.direct, lane, system_clock)
    return {each.partition: each.found.position.offset for each in found if each.found.position is not None}


async def until_all_beyond(scene: Scene, lane: LaneSpec, offsets: Mapping[int, int], within_s: float) -> dict[int, int]:
    """Wait until the lane's position is beyond an offset in each of these partitions. Returns the positions."""
    now: dict[int, int] = {}

    async def beyond() -> bool:
        now.update(await positions(scene, lane))
        return all(now.get(partition, 0) > offset for partition, offset in offsets.items())

    await until(beyond, lambda: f"{lane.name} is at {now}, not beyond {offsets}", within_s)
    return now


async def until_refused(scene: Scene, expected: Refusals, within_s: float) -> None:
    """Wait until the metrics of all processes show exactly these refusals, and the readiness of each lane's process names them."""
    shown: dict[tuple[str, int], str] = {}
    said = ""

    async def exactly() -> bool:
        nonlocal said
        shown.clear()
        said = ""
        async with httpx.AsyncClient(timeout=2) as http:
            for servers in scene.stack.running.endpoints.values():
                try:
                    shown.update(_refusals((await http.get(f"http://{servers['ops']}/metrics")).text))
                    said += (await http.get(f"http://{servers['ops']}/readyz")).text
                except httpx.HTTPError:
                    return False  # the process is away: it may show anything when it is back
        return shown == expected and all(
            f"partition {partition} is refused: {reason}" in said for (_, partition), reason in expected.items()
        )

    await until(exactly, lambda: f"refused are {shown}, not {expected}; ready: {said}", within_s)


def _refusals(metrics: str) -> dict[tuple[str, int], str]:
    return {(lane, int(partition)): reason for lane, partition, reason in _REFUSED.findall(metrics)}


async def reset(scene: Scene, lane: LaneSpec, partition: int, to: str) -> int:
    """Run `chapar lanes reset` as an operator does. Returns the offset at which the lane continues."""
    written = await asyncio.to_thread(_chapar, scene, "lanes", "reset", lane.name, str(partition), "--to", to, "--yes")
    return int(written["continues_at"])


def _chapar(scene: Scene, *words: str) -> Any:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CHAPAR_", "KAFKA_"))},
        "KAFKA_BOOTSTRAP_SERVERS": scene.stage.direct,
        "CHAPAR_TOPIC_PREFIX": scene.direct.topic_prefix,
        "CHAPAR_TENANT": "demo",
        "CHAPAR_HOME": str(scene.clocks.parent / "operator"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", *words, "--json"],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_COMMAND_S,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def processes_of(scene: Scene, service: str) -> list[str]:
    """Return the names of the processes of a service."""
    return [name for name in scene.stack.running.endpoints if service_of(name) == service]
