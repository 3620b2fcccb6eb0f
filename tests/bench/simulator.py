"""Speed of the what-if simulator, which runs the live engine, beside two libraries that only simulate queues.

    python -m tests.bench.simulator [--pure] [--profile] [--customers 20000]

The model: M/M/n, two classes, the more urgent first, no interruption, at 95 % load. All three run it one after another
in this process, on CPU time, with customers drawn in their own ways; an event is an arrival, a begin or an end of
service, so there are three per customer for each of them. Their results are compared too: a quick simulator of another
model would not count. `simulator_vs_…{live}` is the live engine, `{shortcut}` is the method of `chapar simulate` for
plain pools such as this one from the second replication on (`services/router/simulation/shortcut.py`).

Engine and floor are compiled where there is a C compiler (decision 0033), as in the image; each figure says which they
were. `{live pure}` is the same from their sources, as on a machine without a compiler.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import os
import pstats
import random
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import ciw  # type: ignore[import-untyped]  # it ships no types
import simpy

from services.router.simulation import shortcut
from services.router.simulation.customers import Customers, draw
from services.router.simulation.erlang import Queue
from services.router.simulation.floor import Floor
from services.router.simulation.log import ANSWERED, Log
from services.router.simulation.plan import Plan, make
from services.router.simulation.scenario import Scenario
from tests.bench.engine_compiled import build
from tests.bench.figures import NO_GOAL, tell

HANDLING_S: Final = 180.0
LOAD: Final = 0.95
URGENT: Final = 0.3
EVENTS: Final = 3
ROUNDS: Final = 3
GOALS: Final = {
    "simulator_vs_ciw{live}": ">=1",
    "simulator_vs_ciw{live 500 agents}": ">=2",
    "simulator_vs_ciw{shortcut}": ">=5",
    "simulator_vs_simpy{shortcut}": ">=5",
}
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Model:
    """Number of agents, and number of customers."""

    agents: int
    customers: int

    @property
    def rate(self) -> float:
        """Arrivals a second."""
        return LOAD * self.agents / HANDLING_S


def live(model: Model) -> tuple[float, float]:
    """Run through the live engine: return CPU seconds of one replication with its customers drawn, and the urgent
    ones' mean wait in s."""
    return _ours(model, lambda plan, customers: Floor(plan, customers, 0).run())


def by_shortcut(model: Model) -> tuple[float, float]:
    """As `live`, but without the engine, as `chapar simulate` does from the second replication on."""
    return _ours(model, shortcut.run)


def _ours(model: Model, way: Callable[[Plan, Customers], Log]) -> tuple[float, float]:
    types = {
        name: {
            "queue": "q",
            "priority": priority,
            "arrivals": {"every": f"{1 / (share * model.rate):.9f}s"},
            "handling": {"distribution": "exponential", "mean": f"{HANDLING_S}s"},
        }
        for name, priority, share in (("urgent", 1, URGENT), ("other", 0, 1 - URGENT))
    }
    duration = f"{model.customers / model.rate:.3f}s"
    scenario = Scenario.model_validate(
        {"duration": duration, "types": types, "groups": {"all": {"agents": model.agents}}}
    )
    began = time.process_time()
    plan = make(scenario)
    log = way(plan, draw(plan, 0))
    spent = (time.process_time() - began) * model.customers / len(log.kind)
    waits = [
        w
        for kind, w, outcome in zip(log.kind, log.waited, log.outcome, strict=True)
        if kind == 0 and outcome == ANSWERED
    ]
    return spent, sum(waits) / len(waits) / 1_000


def with_ciw(model: Model) -> tuple[float, float]:
    """As `live`, with ciw."""
    network: Any = ciw.create_network(
        arrival_distributions={
            "urgent": [ciw.dists.Exponential(URGENT * model.rate)],
            "other": [ciw.dists.Exponential((1 - URGENT) * model.rate)],
        },
        service_distributions={name: [ciw.dists.Exponential(1 / HANDLING_S)] for name in ("urgent", "other")},
        number_of_servers=[model.agents],
        priority_classes={"urgent": 0, "other": 1},
    )
    ciw.seed(1)
    began = time.process_time()
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(model.customers, method="Finish")
    spent = time.process_time() - began
    waits = [r.waiting_time for r in simulation.get_all_records() if r.customer_class == "urgent"]
    return spent, sum(waits) / len(waits)


def with_simpy(model: Model) -> tuple[float, float]:
    """As `live`, with simpy."""
    chance = random.Random(1)
    environment = simpy.Environment()
    agents = simpy.PriorityResource(environment, model.agents)
    all_done = environment.event()
    waits: list[float] = []
    done = 0

    def customer(priority: int) -> Generator[simpy.Event, Any, None]:
        nonlocal done
        arrived = environment.now
        with agents.request(priority=priority) as mine:
            yield mine
            if not priority:
                waits.append(environment.now - arrived)
            yield environment.timeout(chance.expovariate(1 / HANDLING_S))
        done += 1
        if done == model.customers:
            all_done.succeed()

    def arrivals() -> Generator[simpy.Event, Any, None]:
        while True:
            yield environment.timeout(chance.expovariate(model.rate))
            environment.process(customer(0 if chance.random() < URGENT else 1))

    began = time.process_time()
    environment.process(arrivals())
    environment.run(all_done)
    return time.process_time() - began, sum(waits) / len(waits)


Way = Callable[[Model], tuple[float, float]]


def paces(model: Model, ways: dict[str, Way]) -> dict[str, float]:
    """Return events a second: the best of some rounds, in which all take turns, so that a busy moment does not
    affect only one."""
    best = dict.fromkeys(ways, float("inf"))
    found = dict.fromkeys(ways, 0.0)
    for _ in range(ROUNDS):
        for name, way in ways.items():
            gc.collect()
            spent, found[name] = way(model)
            best[name] = min(best[name], spent)
    [theory, _] = Queue(model.rate, HANDLING_S, model.agents).mean_waits_by_class([URGENT, 1 - URGENT])
    waits = ", ".join(f"{name} {wait:.2f} s" for name, wait in found.items())
    print(f"{model.agents} agents, {model.customers} customers: urgent ones wait {waits}; theory {theory:.2f} s")
    return {name: EVENTS * model.customers / spent for name, spent in best.items()}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--pure", action="store_true", help="compile nothing: measure the sources")
    parser.add_argument("--profile", action="store_true", help="profile the sources: a profiler sees no compiled code")
    parser.add_argument("--here", choices=("all", "live"), help="measure in this process, with what it imports")
    given = parser.parse_args()
    few, many = Model(14, given.customers), Model(500, given.customers)
    if given.profile:
        profiler = cProfile.Profile()
        profiler.runcall(live, few)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    elif given.here == "live":
        _tell(few, " pure", {"live": live, "ciw": with_ciw, "simpy": with_simpy})
    elif given.here == "all":
        ways: dict[str, Way] = {"live": live, "shortcut": by_shortcut, "ciw": with_ciw, "simpy": with_simpy}
        _tell(few, "", ways)
        _tell(many, " 500 agents", ways)
    else:
        compiled = None if given.pure else build()
        if compiled is None:
            print("no engine is compiled, for want of a C compiler or by request: the figures are the pure engine's")
            _apart("all", given.customers)
        else:
            _apart("live", given.customers)
            _apart("all", given.customers, compiled)


def _apart(what: str, customers: int, *first: Path) -> None:
    """Measure in a process that imports the engine from the first directory on the path that has one."""
    path = os.pathsep.join(map(str, [*first, _ROOT, _ROOT / "protos"]))
    command = [sys.executable, "-m", "tests.bench.simulator", "--here", what, "--customers", str(customers)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"})


def _tell(model: Model, suffix: str, ways: dict[str, Way]) -> None:
    """Report the live engine against each library, and the shortcut against each."""
    pace = paces(model, ways)
    engine = "pure" if isinstance(Floor.run, FunctionType) else "compiled"
    details: dict[str, Any] = {"engine": engine, "agents": model.agents}
    details |= {name: round(value) for name, value in pace.items()}
    tell(f"simulator_events_per_s{_braces(suffix)}", round(pace["live"]), "1/s", **details)
    for name in ("ciw", "simpy"):
        for way in ("live", "shortcut"):
            if way in ways:
                figure = f"simulator_vs_{name}{_braces(f'{way}{suffix}')}"
                tell(figure, round(pace[way] / pace[name], 3), "ratio", GOALS.get(figure, NO_GOAL), **details)


def _braces(note: str) -> str:
    return f"{{{note.strip()}}}" if note.strip() else ""


if __name__ == "__main__":
    main()
