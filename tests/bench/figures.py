"""How a bench reports a figure: one line for people, one line of JSON in build/figures.jsonl for the table in
docs/performance.md."""

import json
import os
from pathlib import Path
from typing import Any, Final

from services.chassis.clock import system_clock

FILE: Final = Path("build/figures.jsonl")
NO_GOAL: Final = "none"


def tell(name: str, value: float, unit: str, goal: str = NO_GOAL, **details: Any) -> None:
    """Print `figure <name> <value> <unit> goal <op value>` and keep it. `goal` is e.g. ">=0.7"; details go into the
    JSON only.

    A figure of one of many carries it in braces: `rss_idle_mb{router}`. The machine's load is kept beside each figure,
    because a figure taken on a busy machine is not valid.
    """
    print(f"figure {name} {value:g} {unit} goal {goal}", flush=True)
    line = {"figure": name, "value": value, "unit": unit, "goal": goal, **details}
    line |= {"load_1m": round(os.getloadavg()[0], 1), "cpus": os.cpu_count(), "at_ms": system_clock()}
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
