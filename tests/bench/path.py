"""Life cycles a second through the real router process: `[KAFKA_BOOTSTRAP_SERVERS=…] python -m tests.bench.path
[seconds] [--profile FILE]`.

A life cycle is nine commands: enqueue, accept, customer's message, reply, update, customer's message, reply, complete,
end of wrap-up; and an offer between the first and the second. This process acts as the gateway: it signs agents in,
keeps a fixed number of interactions in flight, reads its partition of the feed, and follows each offer with the eight
other commands, five of them with a result that it waits for. So the router does all its real work (events, journal,
feed, changelog, transactions) except its gRPC.

The router runs compiled where there is a C compiler, as `make run` and the image run it.

Besides the figure it prints where the CPU time went, and the lane's own metrics. `--profile` runs the router pure and
under cProfile: this is good for the shares, not for the figure, which is then not reported.
"""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

import uvloop

from services.chassis.kafka_settings import KafkaSettings
from tests.bench.figures import tell
from tests.bench.gateway_driver import a_driver
from tests.bench.router_process import a_router, configure, metrics_of
from tests.bench.stand import Cpu, a_broker, a_home, begin, broker_pid

IN_FLIGHT, WARM_UP_S = 600, 10.0
GOAL = ">=3000"


async def run(seconds: float, profile: Path | None) -> int:
    """Print the figure, and where the time goes."""
    with a_home() as home:
        async with a_broker() as kafka:
            await configure(home, kafka)
            async with a_router(home, kafka, profile=profile) as (pid, metrics):
                return await _drive(kafka, pid, metrics, seconds, profile is None)


async def _drive(kafka: KafkaSettings, router: int, metrics: str, seconds: float, figure: bool) -> int:
    async with a_driver(kafka) as driver:
        for _ in range(IN_FLIGHT):
            driver.enqueue()
        await asyncio.sleep(min(WARM_UP_S, seconds))  # a bench measures over time: there is no condition to wait for
        pids = {"router": router, "broker": broker_pid(kafka), "driver": os.getpid()}
        cpus = {who: Cpu(pid) for who, pid in pids.items() if pid is not None}
        before, done, begun = await metrics_of(metrics), driver.completed, time.monotonic()
        driver.offered_ms.clear()
        await asyncio.sleep(seconds)
        elapsed, cycles = time.monotonic() - begun, driver.completed - done
        used = {who: cpu.used_s() for who, cpu in cpus.items()}
        after = await metrics_of(metrics)
    if driver.refused or not cycles:
        print(f"{cycles} cycles, refused: {driver.refused}", file=sys.stderr)
        return 1
    _explain(before, after, used, cycles, elapsed)
    rate = round(cycles / elapsed, 1)
    if figure:
        details = {f"{who}_cpu_us_a_cycle": round(1e6 * s / cycles) for who, s in used.items()}
        tell("path_interactions_per_s", rate, "1/s", GOAL, in_flight=IN_FLIGHT, **details)
    else:
        print(f"{rate} life cycles/s under the profiler")
    return 0


def _explain(
    before: dict[str, float], after: dict[str, float], used: dict[str, float], cycles: int, elapsed: float
) -> None:
    """Print where the time went: CPU by process, and the lane's own metrics."""
    for who, seconds in used.items():
        print(
            f"{who:7} {100 * seconds / elapsed:5.0f} % of a core, {1e6 * seconds / cycles:6.0f} us of CPU a life cycle"
        )

    def grown(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    commits, records = grown("chapar_lane_commit_seconds_count"), grown("chapar_lane_committed_records_total")
    if commits:
        waited = 1000 * grown("chapar_lane_commit_seconds_sum") / commits
        print(f"lane    {commits / elapsed:.0f} commits/s of {records / commits:.0f} records, {waited:.1f} ms each")
    print(f"loop    {after.get('chapar_event_loop_lag_seconds', 0) * 1000:.0f} ms late at most in the last 10 s")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=20.0)
    parser.add_argument("--profile", type=Path, help="run the router under cProfile and write its statistics here")
    given = parser.parse_args()
    begin()
    return uvloop.run(run(given.seconds, given.profile))


if __name__ == "__main__":
    sys.exit(main())
