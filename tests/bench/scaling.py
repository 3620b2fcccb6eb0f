"""What an interaction costs with one, two and three replicas of every service, and what `chapar size` predicts: `make scaling-check`.

First it measures one replica: idle, at the rates of RATES, and with more exchanges. These figures are the model's costs
(services/cli/sizing). Then it runs at other rates with one, two and three replicas, and prints for each service the CPU
that the model predicts, the CPU that was measured, and their ratio. Two cores cannot show throughput, but CPU is counted
for each process, however long it waits for a core.

`scaling_ratio{…}`: measured divided by predicted, of the four services together, and of the broker. The other figures are
those that the model reads. `--keep` writes them into the model's reference.
"""

import argparse
import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import TOPICS
from services.cli.sizing.costs import PROCESSES, ProcessCost
from services.cli.sizing.model import cpu_ms_per_s
from tests.bench.figures import tell
from tests.bench.scaling_load import Load, a_load
from tests.bench.scaling_reference import keep
from tests.bench.stand import a_broker, a_home, begin, broker_pid, rss_mb

RATES: Final = (2.0, 4.0, 8.0, 24.0)
"""Interactions a second at which one replica is measured, as far as the machine can: a quiet one of two cores reaches the last."""
EXCHANGES: Final = 3
PREDICTED: Final = ((1, 3.0), (2, 5.0), (3, 6.0))
"""Replicas, and the rate over all of them, of the runs that are compared with predictions."""
WARM_UP_RATE, WARM_UP_S = 6.0, 6.0
LEAD_S, SECONDS, IDLE_S = 5.0, 12.0, 8.0
GOAL_LOW, GOAL_HIGH = 0.7, 1.4
DAY_MS: Final = 86_400_000
LEAST_SHARE: Final = 0.8
"""Of the rate that was sent, or the window does not count: a backlog makes large batches, so it would measure the machine."""


@dataclass(frozen=True, slots=True)
class Window:
    """One measurement."""

    seconds: float
    interactions: int
    cpu_s: Mapping[str, float]
    """By kind of process, all replicas together."""
    kilobytes: Mapping[str, float]
    """What the broker received and sent; `days`: what it keeps, times the days for which its topic keeps it."""

    def ms_per_s(self, name: str) -> float:
        return 1000 * self.cpu_s[name] / self.seconds

    @property
    def rate(self) -> float:
        return self.interactions / self.seconds


def kind_of(process: str) -> str:
    """Return "router" for "router-2"."""
    return process.partition("-")[0]


async def measure(load: Load, rate: float, seconds: float, exchanges: int = 1) -> Window:
    """Measure `seconds` at a rate; 0 measures without traffic. Raises RoundIncomplete."""
    sending = asyncio.ensure_future(load.deliver(rate, LEAD_S + seconds + 0.5, exchanges)) if rate else None
    try:
        await asyncio.sleep(LEAD_S)  # a bench measures over time: there is no condition to wait for
        cpus, done, moved = load.cpus(), load.completed, _moved(load)
        begun = time.monotonic()
        await asyncio.sleep(seconds)
        elapsed = time.monotonic() - begun
        used: defaultdict[str, float] = defaultdict(float)
        for name, cpu in cpus.items():
            used[kind_of(name)] += cpu.used_s()
        window = Window(elapsed, load.completed - done, dict(used), _less(_moved(load), moved))
        if sending is not None:
            await sending
        return window
    finally:
        if sending is not None:
            sending.cancel()


def _moved(load: Load) -> dict[str, float]:
    """Return the kilobytes that the broker has received and sent so far (Linux: /proc), and those of its logs times their days.

    Compacted topics are left out: they keep what is open.
    """
    pid = broker_pid(load.stack.kafka)
    assert pid is not None
    lines = (line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    counted = {name: int(value) / 1024 for name, value in lines}
    # Logs are written by the same system calls as answers; no file is read, because its pages are in memory.
    prefix = load.stack.kafka.topic_prefix
    kept, days = 0.0, 0.0
    for file in Path(f"/proc/{pid}/cwd").glob("data/*/*.log"):
        size = file.stat().st_size / 1024
        topic = TOPICS.get(file.parent.name.rpartition("-")[0].removeprefix(prefix))
        kept += size
        if topic is not None and topic.kept_at_most_ms is not None:
            days += size * topic.kept_at_most_ms / DAY_MS
    return {"in": counted["rchar"], "out": counted["wchar"] - kept, "days": days}


def _less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in after}


async def calibrate(load: Load) -> dict[str, float]:
    """Measure one replica; return the model's figures by name."""
    await load.deliver(WARM_UP_RATE, WARM_UP_S)
    idle = await measure(load, 0, IDLE_S)
    found = {f"idle_cpu_ms{{{name}}}": idle.ms_per_s(name) for name in PROCESSES}
    for rate in RATES:
        window = await measure(load, rate, SECONDS)
        if not completed(window, rate):
            break
        for name in PROCESSES:
            above = (window.ms_per_s(name) - idle.ms_per_s(name)) / window.rate
            found[f"interaction_cpu_ms{{{name} at {rate:g}/s}}"] = max(0.0, above)
        for way in ("in", "out", "days"):
            of_idle = idle.kilobytes[way] / idle.seconds * window.seconds
            found[f"interaction_kb{{{way}}}"] = (window.kilobytes[way] - of_idle) / window.interactions
    more = await measure(load, RATES[0], SECONDS, EXCHANGES)
    for name in PROCESSES:
        above = (more.ms_per_s(name) - idle.ms_per_s(name)) / more.rate
        of_one = found[f"interaction_cpu_ms{{{name} at {RATES[0]:g}/s}}"]
        found[f"exchange_cpu_ms{{{name}}}"] = max(0.0, (above - of_one) / (EXCHANGES - 1))
    return found


def completed(window: Window, rate: float) -> bool:
    """Return whether enough of the interactions were completed; print it if not."""
    if window.rate >= LEAST_SHARE * rate:
        return True
    print(f"too busy: {rate:g} interactions/s were sent, and {window.rate:.1f}/s were completed", file=sys.stderr)
    return False


def cost_from(figures: Mapping[str, float], name: str) -> ProcessCost:
    """Return the model's cost of one kind of process."""
    names = {rate: f"interaction_cpu_ms{{{name} at {rate:g}/s}}" for rate in RATES}
    at = tuple((rate, figures[figure]) for rate, figure in names.items() if figure in figures)
    return ProcessCost(figures[f"idle_cpu_ms{{{name}}}"], at, figures[f"exchange_cpu_ms{{{name}}}"])


def compare(window: Window, figures: Mapping[str, float], replicas: int) -> bool:
    """Print predicted and measured CPU of each kind of process; return whether both ratios reach the goal."""
    sums = {"services": [0.0, 0.0], "broker": [0.0, 0.0]}
    for name in PROCESSES:
        processes = 1 if name == "broker" else replicas
        predicted = cpu_ms_per_s(cost_from(figures, name), window.rate, processes) / window.rate
        measured = window.ms_per_s(name) / window.rate
        print(f"  {name:9} predicted {predicted:6.2f} ms, measured {measured:6.2f} ms, {measured / predicted:.2f}")
        of = sums["broker" if name == "broker" else "services"]
        of[0], of[1] = of[0] + predicted, of[1] + measured
    reached = True
    for name, (predicted, measured) in sums.items():
        ratio = measured / predicted
        reached = reached and GOAL_LOW <= ratio <= GOAL_HIGH
        details = {
            "predicted_ms": round(predicted, 2),
            "measured_ms": round(measured, 2),
            "rate": round(window.rate, 2),
        }
        tell(f"scaling_ratio{{{name} x{replicas}}}", round(ratio, 2), "ratio", f"<={GOAL_HIGH}", **details)
    return reached


async def run(kept: bool) -> int:
    """Print the figures; return 1 if a ratio is outside the goal."""
    figures: dict[str, float] = {}
    reached = True
    async with a_broker() as kafka:
        for replicas, rate in PREDICTED:
            reached = await _with(kafka, replicas, rate, figures, kept) and reached
    return 0 if reached else 1


async def _with(kafka: KafkaSettings, replicas: int, rate: float, figures: dict[str, float], kept: bool) -> bool:
    own = kafka.model_copy(update={"topic_prefix": f"{kafka.topic_prefix}x{replicas}."})
    with a_home() as home:
        async with a_load(home, own, replicas) as load:
            if not figures:
                for name, pid in load.stack.supervisor.pids().items():
                    figures[f"rss_idle_mb{{{name}}}"] = rss_mb(pid)
                figures |= await calibrate(load)
                for name, value in figures.items():
                    tell(name, round(value, 3), "kB" if "_kb" in name else "MB" if "_mb" in name else "ms")
                if kept:
                    keep(figures)
            else:
                await load.deliver(WARM_UP_RATE, WARM_UP_S)
            window = await measure(load, rate, SECONDS)
    print(f"{replicas} replicas of each service, {window.rate:.1f} interactions/s: CPU of an interaction")
    return completed(window, rate) and compare(window, figures, replicas)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="write the figures into services/cli/sizing/reference.py")
    given = parser.parse_args()
    begin()
    return uvloop.run(run(given.keep))


if __name__ == "__main__":
    sys.exit(main())
