"""From SIGKILL to decisions elsewhere: `[KAFKA_BOOTSTRAP_SERVERS=…] python -m tests.bench.takeover [rounds]`.

Two real router processes share the lane's partitions. This process acts as the gateway of one pool (gateway_driver.py)
with a new interaction twenty times a second. The router that owns the pool is killed; the clock stops at the first offer
on the feed of an interaction that was enqueued after the kill. The killed router is started again for the next round.
The figure is the longest of all rounds. The session time-out of the lanes is 2.5 s (`lane.session_timeout_ms`; 6 s by default).
"""

import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import uvloop

from services.chassis.kafka_settings import KafkaSettings
from services.cli.local.workspace import Workspace
from tests.bench.figures import tell
from tests.bench.gateway_driver import Driver, a_driver
from tests.bench.router_process import a_router, configure, metrics_of
from tests.bench.stand import a_broker, a_home, begin

ROUNDS, PACE_S = 3, 0.05
SESSION_MS = 2_500
GOAL: Final = "<=4"
_SETTLED_S, _LONGEST_S = 60.0, 60.0
_COMMITTED: Final = "chapar_lane_committed_records_total"
_OWNED: Final = "chapar_lane_partitions"


@dataclass(frozen=True, slots=True)
class Router:
    """A running router, and what ends it."""

    pid: int
    metrics: str
    exits: AsyncExitStack


async def start(home: Workspace, kafka: KafkaSettings, name: str) -> Router:
    exits = AsyncExitStack()
    pid, metrics = await exits.enter_async_context(a_router(home, kafka, name, session_ms=SESSION_MS))
    return Router(pid, metrics, exits)


async def settled(routers: dict[str, Router]) -> None:
    """Wait until both own partitions. Raises TimeoutError."""
    async with asyncio.timeout(_SETTLED_S):
        while not all([(await metrics_of(router.metrics)).get(_OWNED) for router in routers.values()]):  # noqa: ASYNC110 - only their metrics show it
            await asyncio.sleep(0.1)


async def owner(routers: dict[str, Router]) -> str:
    """Return the router that processes the pool's commands."""
    before = {name: (await metrics_of(router.metrics)).get(_COMMITTED, 0) for name, router in routers.items()}
    async with asyncio.timeout(_SETTLED_S):
        while True:
            await asyncio.sleep(1)
            for name, router in routers.items():
                # Twenty interactions with nine commands each a second; the other router has no input.
                if (await metrics_of(router.metrics)).get(_COMMITTED, 0) - before[name] > 20:
                    return name


async def pace(driver: Driver) -> None:
    while True:
        driver.enqueue()
        await asyncio.sleep(PACE_S)


async def kill(router: Router, driver: Driver) -> float:
    """Kill the router; return the seconds until the first decision elsewhere. Raises TimeoutError."""
    os.kill(router.pid, signal.SIGKILL)
    begun = time.monotonic()
    async with asyncio.timeout(_LONGEST_S):
        await driver.offered_after_now()
    elapsed = time.monotonic() - begun
    await router.exits.aclose()
    return elapsed


async def run(rounds: int) -> int:
    """Print the figure; return 1 when a takeover did not happen."""
    async with AsyncExitStack() as exits:
        home = exits.enter_context(a_home())
        kafka = await exits.enter_async_context(a_broker())
        await configure(home, kafka)
        routers: dict[str, Router] = {}
        try:
            for name in ("router-a", "router-b"):
                routers[name] = await start(home, kafka, name)
            driver = await exits.enter_async_context(a_driver(kafka))
            pacing = asyncio.ensure_future(pace(driver))
            exits.callback(pacing.cancel)
            taken: list[float] = []
            victim = ""
            for _ in range(rounds):
                if victim:
                    routers[victim] = await start(home, kafka, victim)
                await settled(routers)
                victim = await owner(routers)
                taken.append(await kill(routers[victim], driver))
                print(f"{victim} killed: decisions elsewhere after {taken[-1]:.2f} s", flush=True)
        except TimeoutError:
            print(f"takeover: no decisions within {_LONGEST_S:.0f} s", file=sys.stderr)
            return 1
        finally:
            for router in routers.values():
                await router.exits.aclose()
    tell("takeover_s", round(max(taken), 2), "s", GOAL, rounds=[round(seconds, 2) for seconds in taken])
    return 0


def main() -> int:
    """The command line."""
    begin()
    return uvloop.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))


if __name__ == "__main__":
    sys.exit(main())
