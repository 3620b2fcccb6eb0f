"""Faults of clocks: the clock of a service jumps, and is right again after some seconds.

libfaketime fakes it for the whole process. It breaks processes whose threads wait with a time-out, such as ingest's for its
history (waits fail or never end, even while the clock is right). Their clock is faked in Python instead, by the hook.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.chaos.campaign.fault import Strike
from tests.chaos.campaign.stage import Scene

LIBRARIES: Final = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"),
)
"""Where Debian's package `faketime` puts the library that fakes the clock of programs with threads."""
WRONG_S: Final = 10.0
Variables = Mapping[str, Mapping[str, str]]
"""By service."""


def library() -> Path | None:
    """Return the library, None when the package is not installed."""
    return next((path for path in LIBRARIES if path.exists()), None)


def step(seconds: int, *services: str) -> tuple[Strike, Variables]:
    """Step the clock of services, and back after `WRONG_S`. Their monotonic clocks stay right. Returns the strike, and the
    variables of the processes."""
    found = library()
    variables = {
        service: {
            "LD_PRELOAD": str(found),
            "FAKETIME_TIMESTAMP_FILE": f"{{run}}/clocks/{service}.clock",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }
        for service in services
    }
    return _strike(seconds, services), variables if found is not None else {}


def step_in_python(seconds: int, service: str) -> tuple[Strike, Variables]:
    """Do the same for a service with threads that wait."""
    return _strike(seconds, (service,)), {service: {"CHAPAR_CHAOS_CLOCK": f"{{run}}/clocks/{service}.clock"}}


def _strike(seconds: int, services: Sequence[str]) -> Strike:
    async def strike(scene: Scene) -> None:
        for service in services:
            (scene.clocks / f"{service}.clock").write_text(f"{seconds:+d}")
        try:
            await asyncio.sleep(WRONG_S)
        finally:
            for service in services:
                (scene.clocks / f"{service}.clock").write_text("+0")
        await scene.stack.supervisor.wait_ready(60)

    return strike
