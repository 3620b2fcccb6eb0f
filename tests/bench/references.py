"""The simulator against theory: `python -m tests.bench.references`, or `make references`. Exit 1 when a value is
outside its interval.

Each row of the table in docs/simulation.md is run through the live engine; its theoretical value must lie within the
simulated 99 % interval (Student's, over replications). The same is done with ten times as many replications by the
shortcut, which must decide as the engine does. Seeds are fixed, so the result is always the same for the same engine;
with other seeds, one value in a hundred would be outside by chance alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.router.simulation.erlang import ImpatientQueue, LimitedLines, Queue, erlang_b, from_empty, one_agent
from services.router.simulation.replications import Case, Laboratory, Question
from services.router.simulation.results import Case as Observed
from services.router.simulation.scenario import Scenario
from services.router.simulation.statistics import Estimate

CONFIDENCE: Final = 0.99
TIMES: Final = 10


@dataclass(frozen=True, slots=True)
class Row:
    """A model and its theoretical values: figure of the simulator -> value. `published` are the same values as
    rounded in publications."""

    name: str
    scenario: Scenario
    theory: dict[str, float]
    published: dict[str, float] = field(default_factory=dict)


def exponential(seconds: float) -> dict[str, Any]:
    """Return an exponential distribution."""
    return {"distribution": "exponential", "mean": f"{seconds}s"}


def a_type(gap_s: float, handling_s: float, **more: Any) -> dict[str, Any]:
    """Return a type with Poisson arrivals and exponential handling."""
    return {"queue": "q", "arrivals": {"every": f"{gap_s:.9f}s"}, "handling": exponential(handling_s), **more}


def a_scenario(
    seed: int, types: dict[str, Any], agents: int, minutes: float, replications: int, **more: Any
) -> Scenario:
    """Return a scenario with `agents` equal agents, all the time. Each row has another seed, so that rows are
    independent of each other."""
    return Scenario.model_validate(
        {
            "duration": f"{minutes}m",
            "replications": replications,
            "types": types,
            "groups": {"agents": {"agents": agents}},
            "seed": seed,
            **more,
        }
    )


def rows() -> list[Row]:
    """Return the table. Together all runs take at most three minutes. Warm-ups outlast a disturbance: its time
    is 1 / (sqrt(n mu) - sqrt(lambda))^2, two hours for the slowest rows."""

    def m_m_n(arrival_s: float, handling_s: float, agents: int) -> dict[str, float]:
        queue = Queue(1 / arrival_s, handling_s, agents)
        return {
            "all/waited": queue.waits,
            "all/service_level_offered": queue.service_level(20),
            "all/mean_wait_s": queue.mean_wait,
            "all/occupancy": queue.occupancy,
        }

    fourteen = m_m_n(18, 180, 14)
    impatient = ImpatientQueue(48 / 60, 60, 50, 120)
    levels = impatient.service_levels(20)
    high, low = Queue(1 / 18, 180, 14).mean_waits_by_class([0.3, 0.7])
    day = from_empty(4.2, 2, 12, 480, 1 / 3)
    return [
        Row(
            "M/M/14, 100 calls a half-hour of 180 s",
            a_scenario(1, {"calls": a_type(18, 180)}, 14, 960, 14, warm_up="1h"),
            fourteen,
            {
                "all/waited": 0.1741319,
                "all/service_level_offered": 0.88835,
                "all/mean_wait_s": 7.835937,
                "all/occupancy": 0.7142857,
            },
        ),
        Row(
            "M/M/11, the same calls",
            a_scenario(2, {"calls": a_type(18, 180)}, 11, 1440, 12, warm_up="4h"),
            m_m_n(18, 180, 11),
            {"all/waited": 0.6821182, "all/service_level_offered": 0.3896138},
        ),
        Row(
            "M/M/40, 1000 calls an hour of 120 s",
            a_scenario(3, {"calls": a_type(3.6, 120)}, 40, 240, 12, warm_up="30m"),
            m_m_n(3.6, 120, 40),
            {"all/waited": 0.1907, "all/service_level_offered": 0.9372, "all/mean_wait_s": 3.43},
        ),
        Row(
            "M/M/35, the same calls",
            a_scenario(4, {"calls": a_type(3.6, 120)}, 35, 480, 10, warm_up="4h"),
            m_m_n(3.6, 120, 35),
            {"all/waited": 0.6965, "all/service_level_offered": 0.4724, "all/mean_wait_s": 50.15},
        ),
        Row(
            "M/M/50+M, 48 calls a minute of 1 min, patience 2 min",
            a_scenario(5, {"calls": a_type(1.25, 60, patience=exponential(120))}, 50, 100, 12, warm_up="10m"),
            {
                "all/abandoned": impatient.abandoned,
                "all/mean_wait_s": impatient.mean_wait,
                "all/wait_p90_s": impatient.wait_quantile(0.9),
                "all/occupancy": impatient.occupancy,
                **{f"all/service_level_{name}": level for name, level in levels.items()},
            },
            {"all/abandoned": 0.0309, "all/mean_wait_s": 3.71, "all/wait_p90_s": 12.44},
        ),
        Row(
            "M/M/14, 30 % first, without interruption",
            a_scenario(
                6, {"high": a_type(60, 180, priority=1), "low": a_type(180 / 7, 180)}, 14, 960, 14, warm_up="1h"
            ),
            {"high/mean_wait_s": high, "low/mean_wait_s": low},
            {"high/mean_wait_s": 2.849, "low/mean_wait_s": 9.973},
        ),
        Row(
            "M/M/12, 4.2 a minute of 2 min, 8 h from empty",
            a_scenario(7, {"calls": a_type(60 / 4.2, 120)}, 12, 480, 24),
            {
                "all/service_level_offered": day.service_level,
                "all/mean_wait_s": 60 * day.mean_wait,
                "all/occupancy": day.occupancy,
            },
            {"all/service_level_offered": 0.902, "all/mean_wait_s": 5.94, "all/occupancy": 0.695},
        ),
        Row(
            "M/M/14/14: no waiting places (Erlang B)",
            a_scenario(8, {"calls": a_type(18, 180)}, 14, 720, 12, warm_up="1h", waiting_places=0),
            {"all/blocked": erlang_b(14, 10)},
        ),
        *_more_rows(),
    ]


def _more_rows() -> list[Row]:
    """Return models in which handling is not exponential, lines are bounded, and a single agent serves."""
    lines = LimitedLines(1 / 18, 180, 10, 16)
    gamma = {"distribution": "gamma", "mean": "60s", "cv": 0.5}
    fixed = {"distribution": "deterministic", "value": "60s"}
    heavy = {"distribution": "lognormal", "mean": "180s", "cv": 1.5}
    urgent, other = one_agent([(0.3 / 60, 60, 0.5), (0.4 / 120, 120, 1)])
    return [
        Row(
            "M/M/10/16: sixteen trunk lines",
            a_scenario(9, {"calls": a_type(18, 180)}, 10, 720, 12, warm_up="1h", lines=16),
            {"all/blocked": lines.blocked, "all/mean_wait_s": lines.mean_wait},
        ),
        Row(
            "M/G/14/14: log-normal handling loses as many",
            a_scenario(10, {"calls": a_type(18, 180, handling=heavy)}, 14, 720, 12, warm_up="2h", waiting_places=0),
            {"all/blocked": erlang_b(14, 10)},
        ),
        Row(
            "M/D/1, load .7 (Pollaczek and Khinchine)",
            a_scenario(11, {"calls": a_type(60 / 0.7, 60, handling=fixed)}, 1, 2880, 14, warm_up="2h"),
            {"all/mean_wait_s": one_agent([(0.7 / 60, 60, 0)])[0], "all/waited": 0.7, "all/occupancy": 0.7},
            {"all/mean_wait_s": 70},
        ),
        Row(
            "M/E4/1, load .7 (Pollaczek and Khinchine)",
            a_scenario(12, {"calls": a_type(60 / 0.7, 60, handling=gamma)}, 1, 2880, 14, warm_up="2h"),
            {"all/mean_wait_s": one_agent([(0.7 / 60, 60, 0.5)])[0], "all/waited": 0.7},
            {"all/mean_wait_s": 87.5},
        ),
        Row(
            "M/G/1, two classes with handling of their own (Cobham)",
            a_scenario(
                13,
                {"urgent": a_type(200, 60, handling=gamma, priority=1), "other": a_type(300, 120)},
                1,
                2880,
                14,
                warm_up="2h",
            ),
            {"urgent/mean_wait_s": urgent, "other/mean_wait_s": other},
        ),
    ]


def check(chosen: Sequence[Row], processes: int | None = None, times: int = TIMES) -> int:
    """Print a line for each value; return the number of values outside."""
    outside = values = 0
    print(f"{'':48}{'theory':>9}  {'live engine, 99 % interval':^30}  {f'{times} times as many by the shortcut':^30}")
    for row, live, quick in _observed(chosen, processes, times):
        print(f"{row.name} ({sum(one.customers for one in live.observed):,} customers)")
        for figure, theory in row.theory.items():
            found, closer = live.estimate(figure, CONFIDENCE), quick.estimate(figure, CONFIDENCE)
            inside = found.holds(theory) and found.holds(row.published.get(figure, theory)) and closer.holds(theory)
            values += 1
            outside += not inside
            name = figure.removeprefix("all/").replace("/", ", ")
            verdict = "" if inside else "  OUTSIDE"
            print(f"    {name:44}{theory:9.5f}  {_shown(found)}  {_shown(closer)}{verdict}", flush=True)
    print(f"{values} values in {len(chosen)} rows, {outside} outside a 99 % interval")
    return outside


def _observed(chosen: Sequence[Row], processes: int | None, times: int) -> Iterator[tuple[Row, Observed, Observed]]:
    """Yield each row by the live engine, and more often by the shortcut."""
    if not chosen:
        return
    with Laboratory(Question(chosen[0].scenario), processes) as laboratory:
        for row in chosen:
            more = row.scenario.model_copy(update={"replications": times * row.scenario.replications})
            laboratory.ask(Question(row.scenario))
            [live] = laboratory.run([Case()])
            laboratory.ask(Question(more, shortcut=True))
            [quick] = laboratory.run([Case()])
            yield row, Observed("", live, {}, {}), Observed("", quick, {}, {})


def _shown(found: Estimate) -> str:
    return f"{found.value:9.5f} [{found.low:8.5f}, {found.high:8.5f}]"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="word", help="only rows whose name has one of these")
    parser.add_argument("--processes", type=int)
    given = parser.parse_args()
    chosen = [row for row in rows() if not given.words or any(word in row.name for word in given.words)]
    began = time.monotonic()
    outside = check(chosen, given.processes)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
