"""How a bench reports a figure: one line for people, one line of JSON in build/figures.jsonl for the table in
docs/performance.md."""

import json
import os
from pathlib import Path
from typing import Any, Final

from services.chassis.clock import system_clock
from tests.bench.neighbours import so_far

FILE: Final = Path("build/figures.jsonl")
NO_GOAL: Final = "none"


def tell(name: str, value: float, unit: str, goal: str = NO_GOAL, **details: Any) -> None:
    """Print `figure <name> <value> <unit> goal <op value>` and keep it. `goal` is e.g. ">=0.7"; details go into the
    JSON only.

    A figure of one of many carries it in braces: `rss_idle_mb{router}`. The load before the bench, and what other
    processes used meanwhile, are kept beside each figure: one that they spoiled is not valid, and is marked.
    """
    print(f"figure {name} {value:g} {unit} goal {goal}", flush=True)
    line = {"figure": name, "value": value, "unit": unit, "goal": goal, **details}
    line |= {"cpus": os.cpu_count(), "at_ms": system_clock()}
    if (others := so_far()) is not None:
        line |= {"load_before": others.load_before, "others_cores": others.cores, "spoiled": others.spoil}
        if others.spoil:
            print(f"spoiled: other processes used {others.cores:.1f} of {others.cpus} CPUs meanwhile", flush=True)
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a") as lines:
        lines.write(json.dumps(line) + "\n")


def newest() -> dict[str, dict[str, Any]]:
    """Return the last line of each figure, by name, in the order in which the figures were first reported."""
    if not FILE.exists():
        return {}
    found: dict[str, dict[str, Any]] = {}
    for line in FILE.read_text().splitlines():
        figure = json.loads(line)
        found[figure["figure"]] = figure
    return found


def reached(value: float, goal: str) -> bool | None:
    """Return whether a value reaches its goal; None without a goal."""
    if goal.startswith(">="):
        return value >= float(goal[2:])
    if goal.startswith("<="):
        return value <= float(goal[2:])
    return None
