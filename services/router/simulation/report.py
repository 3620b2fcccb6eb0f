"""Print results: tables of eighty columns, and sentences where a number needs one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.router.simulation.results import Case, Results, groups_of, types_of
from services.router.simulation.statistics import Estimate

Show = Callable[[float], str]


def percent(value: float) -> str:
    """Return a share as text."""
    return f"{100 * value:.2f}" if abs(value) < 0.1 else f"{100 * value:.1f}"


def seconds(value: float) -> str:
    """Return a time with at least three digits."""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def plain(value: float) -> str:
    """Return a number as text."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def shown(found: Estimate, show: Show) -> str:
    """Return the value and ± half the width of its interval, or its ends where the value is not in the middle."""
    if found.value is None:
        return "-"
    if found.ends is not None:
        low, high = found.ends
        if low == high == found.value:
            return show(found.value)
        return f"{show(found.value)} [{show(low)}, {'?' if high is None else show(high)}]"
    return show(found.value) if not found.half else f"{show(found.value)} ±{show(found.half)}"


SERVICE_LEVEL: Sequence[tuple[str, str, Show]] = (
    ("offered", "#offered", plain),
    ("service_level_offered", "#% of offered", percent),
    ("service_level_offered_less_short_abandons", "#% of offered less short abandons", percent),
    ("service_level_answered", "#% of answered", percent),
)
WAITS: Sequence[tuple[str, str, Show]] = (
    ("mean_wait_answered_s", "#mean of answered", seconds),
    ("mean_wait_s", "#mean of all", seconds),
    ("wait_p50_s", "#half within", seconds),
    ("wait_p90_s", "#90 % within", seconds),
    ("wait_p95_s", "#95 % within", seconds),
)
LOSSES: Sequence[tuple[str, str, Show]] = (
    ("waited", "#waited %", percent),
    ("abandoned", "#abandoned %", percent),
    ("blocked", "#turned away %", percent),
    ("cancelled", "#cancelled by policy %", percent),
    ("unserved", "#never served %", percent),
)
GROUPS: Sequence[tuple[str, str, Show]] = (
    ("staffed_hours", "#hours", plain),
    ("occupancy", "#occupancy %", percent),
    ("gini", "#Gini", plain),
    ("most_over_mean", "#most / mean", plain),
    ("longest_idle_s", "#longest idle s", seconds),
    ("cost", "#cost", plain),
)
COMPARED: Sequence[tuple[str, str, Show]] = (
    ("service_level_offered", "service level, % of offered", percent),
    ("service_level_offered_less_short_abandons", "… less short abandons", percent),
    ("service_level_answered", "… of answered", percent),
    ("mean_wait_answered_s", "mean wait of answered, s", seconds),
    ("wait_p90_s", "90 % wait within, s", seconds),
    ("abandoned", "abandoned, %", percent),
    ("blocked", "turned away, %", percent),
    ("unserved", "never served, %", percent),
)
COMPARED_GROUPS: Sequence[tuple[str, str, Show]] = (
    ("occupancy", "occupancy, %", percent),
    ("gini", "Gini of occupancy", plain),
    ("longest_idle_s", "longest idle, s", seconds),
)
COMPARED_ALL: Sequence[tuple[str, str, Show]] = (
    ("occupancy", "occupancy, %", percent),
    ("staffed_hours", "staffed hours", plain),
    ("cost", "cost", plain),
    ("cost_per_answer", "cost of an answer", plain),
)


def table(title: str, columns: Iterable[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table. Columns whose name begins with # are numbers and are aligned to the right."""
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 0), pad_edge=False)
    for column in columns:
        heading = column.lstrip("#")
        made.add_column(
            Text(heading, style="bold"),
            justify="right" if column.startswith("#") else "left",
            overflow="fold",
            min_width=max(map(len, heading.split()), default=1),
        )
    for row in rows:
        made.add_row(*row)
    return made


def report(results: Results) -> RenderableType:
    """Return the whole report."""
    parts: list[RenderableType] = []
    if len(results.cases) == 1:
        [case] = results.cases
        parts += [*_of_types(results, case), _of_groups(results, case)]
    else:
        parts += [_comparison(results)]
    parts.append(Text(_notes(results)))
    return Group(*parts)


def _of_types(results: Results, case: Case) -> Iterable[Table]:
    for title, columns in (
        ("service level: answered within the time in brackets", SERVICE_LEVEL),
        ("waits, s", WAITS),
        ("outcomes", LOSSES),
    ):
        names = types_of(results)
        estimates = {figure: [results.estimate(case, f"{name}/{figure}") for name in names] for figure, _, _ in columns}
        # An outcome that did not occur needs no column.
        seen = [
            c for c in columns if columns is not LOSSES or c[0] == "abandoned" or any(e.value for e in estimates[c[0]])
        ]
        rows = [
            [_named(case, name), *(shown(estimates[figure][row], show) for figure, _, show in seen)]
            for row, name in enumerate(names)
        ]
        yield table(title, ["type", *(heading for _, heading, _ in seen)], rows)


def _named(case: Case, name: str) -> str:
    """Return a type with its threshold; all types together have one only when theirs are the same."""
    within = {case.within_s[name]} if name in case.within_s else set(case.within_s.values())
    return f"{name} ({within.pop():g} s)" if len(within) == 1 else name


def _of_groups(results: Results, case: Case) -> Table:
    rows = [
        [name, *(shown(results.estimate(case, f"group {name}/{figure}"), show) for figure, _, show in GROUPS)]
        for name in groups_of(case)
    ]
    return table("agents", ["group", *(heading for _, heading, _ in GROUPS)], rows)


def _comparison(results: Results) -> Table:
    one, other = results.cases
    shared = set(one.names()) & set(other.names())
    wanted = [(kind, figure, label, show) for kind in types_of(results) for figure, label, show in COMPARED]
    wanted += [("all", figure, label, show) for figure, label, show in COMPARED_ALL]
    wanted += [
        (f"group {name}", figure, label, show) for name in groups_of(one) for figure, label, show in COMPARED_GROUPS
    ]
    rows = []
    for kind, figure, label, show in wanted:
        name = f"{kind}/{figure}"
        if name not in shared:
            continue
        change = results.difference(name)
        first, second = results.estimate(one, name), results.estimate(other, name)
        if not (first.value or second.value):
            continue  # nothing of this kind happened
        clear = change.half is not None and not change.holds(0.0)
        rows.append(
            [
                f"{kind}: {label}",
                shown(first, show),
                shown(second, show),
                f"{shown(change, show)} {'*' if clear else ' '}",
            ]
        )
    return table("compared, customer by customer", ["", f"#{one.label}", f"#{other.label}", "#difference  "], rows)


def _notes(results: Results) -> str:
    scenario, confidence = results.question.scenario, f"{results.confidence:.0%}"
    how = (
        f"Intervals ({confidence}) from batches of one replication: more `replications` give better ones."
        if results.batches
        else f"Intervals ({confidence}) from {scenario.replications} replications."
    )
    notes = [how]
    if len(results.cases) == 1 and not results.batches:
        notes.append("The waits of half, 90 % and 95 % are those of all customers of all replications together.")
    if len(results.cases) == 2:
        notes.append("Differences are of pairs with the same customers; * marks those whose interval leaves out 0.")
    if results.not_plain is None:
        notes.append("Decided by the live engine.")
    elif results.not_plain:
        notes.append(f"Decided by the live engine: {results.not_plain}.")
    else:
        notes.append(
            "Decided by the shortcut for plain pools, which gave the same result as the live engine in the first replication."
        )
    recording = results.question.recording
    if recording is not None:
        notes.append(
            f"{len(recording.times):,} recorded arrivals ({recording.ignored:,} outside the scenario's time). Patience of those who were answered "
            "is censored: what they would have waited is estimated (Kaplan-Meier)."
        )
    for case in results.cases:
        handed, retries = sum(o.handed_over for o in case.observed), sum(o.retries for o in case.observed)
        for count, what in ((retries, "came again"), (handed, "handed over at a shift's end")):
            if count:
                notes.append(f"{case.label}: {count:,} {what}.")
    return "\n".join(notes)


def console(*, to_terminal: bool) -> Console:
    """Return a console; without a terminal its width is not limited."""
    return Console(width=None if to_terminal else 120)
