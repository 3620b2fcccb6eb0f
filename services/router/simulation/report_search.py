"""Print the result of a search for staffing: its certainty, and how it was found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from services.router.simulation.report import percent, plain, shown, table
from services.router.simulation.staff_search import Found, Trial
from services.router.simulation.statistics import Estimate


def report(found: Found, confidence: float) -> RenderableType:
    """Return the result of a search as a table and sentences."""
    marks = [(found.one_less, "one less"), (found.least, "least by estimate")]
    if found.sure is not found.least:
        marks.append((found.sure, "least beyond doubt"))
    marks += [(trial, "cheaper, in doubt") for trial in found.rivals[:1] if trial is not found.one_less]
    has_costs = any(trial.cost for trial, _ in marks if trial is not None)
    goals = [f"#% within {goal.within_s:g} s: {goal.of} (goal {percent(goal.share)})" for goal in found.target.goals]
    rows = [
        [
            what,
            str(trial.agents),
            _sizes(trial),
            *([plain(trial.cost)] if has_costs else []),
            *(shown(level.found, percent) for level in trial.levels),
        ]
        for trial, what in marks
        if trial is not None
    ]
    return Group(
        table("least staffing", ["", "#agents", "by group", *(["#cost"] if has_costs else []), *goals], rows),
        Text(" ".join(_sentences(found, confidence))),
    )


def _sentences(found: Found, confidence: float) -> Iterator[str]:
    interval = f"{confidence:.0%} interval"
    if found.sure is found.least:
        yield f"{found.least.agents} agents reach {found.target}, and so does their whole {interval}."
    else:
        yield (
            f"{found.least.agents} agents reach {found.target} by the estimate; their {interval} goes below, so luck may have helped: "
            f"this is not decided after {len(found.least.observed)} replications."
        )
        if found.sure is not None:
            yield f"{found.sure.agents} are beyond doubt."
        else:
            yield "More replications would give certainty."
    if found.rivals:
        one = found.rivals[0]
        more = f", and so do {len(found.rivals) - 1} more" if len(found.rivals) > 1 else ""
        yield (
            f"A cheaper staffing ({_sizes(one)}) fails by the estimate but not by its whole interval{more}: after {len(one.observed)} "
            "replications it is not decided whether it is enough."
        )
    yield f"{found.tried} staffings were tried."
    if not found.complete:
        yield "There are more staffings than can be compared: a cheaper one is possible."


def data(found: Found) -> dict[str, Any]:
    """Return the result for programs."""
    return {
        "target": str(found.target),
        "least": _trial(found.least),
        "beyond_doubt": _trial(found.sure),
        "one_less": _trial(found.one_less),
        "in_doubt": [_trial(trial) for trial in found.rivals],
        "decided": found.decided,
        "complete": found.complete,
        "tried": found.tried,
    }


def _trial(one: Trial | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "agents": one.agents,
        "sizes": dict(one.sizes),
        "cost": one.cost,
        **_level(one.level),
        "levels": {level.goal.of: {"goal": level.goal.share, **_level(level.found)} for level in one.levels},
        "replications": len(one.observed),
    }


def _level(found: Estimate) -> dict[str, float | None]:
    return {"value": found.value, "low": found.low, "high": found.high}


def _sizes(trial: Trial) -> str:
    return ", ".join(f"{name} {size}" for name, size in trial.sizes.items())
