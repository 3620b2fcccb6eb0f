"""Compute measures from a log: the figures of each window of time, as numerators and denominators that can be added.

A replication is one window, from the end of the warm-up to the scenario's end. A single replication is divided into batches instead, so that it
has an interval too. A customer counts in the window of their arrival.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.router.simulation.distributions import Vector
from services.router.simulation.log import ABANDONED, ANSWERED, BLOCKED, CANCELLED, UNSERVED, Log
from services.router.simulation.plan import Plan
from services.router.simulation.statistics import Ratio
from services.router.simulation.waits import Sample, sample

BATCHES: Final = 20
ALL: Final = "all"
_HOUR_MS: Final = 3_600_000.0
NOT_SUMS: Final = frozenset({"gini", "most_over_mean", "longest_idle_s"})
"""Figures that cannot be added up from the figures of parts."""
SERVICE_LEVELS: Final = ("offered", "offered_less_short_abandons", "answered")

Figures = Mapping[str, Ratio]
"""By name: `type/service_level_offered`, `group/occupancy`, …; seconds, shares and money."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One replication, reduced so that it can be sent to another process."""

    windows: tuple[Figures, ...]
    whole: Figures
    """All windows in one: for figures that cannot be added up, see `NOT_SUMS`."""
    by_period: Vector
    """(types + 1, periods, 4): offered, answered in time, answered, waits of the answered in s; the last type is all types together."""
    waits: tuple[tuple[Sample, ...], ...]
    """Waits of the customers who entered the queue, answered or not: for each window, by type."""
    customers: int
    commands: int
    retries: int
    handed_over: int


def observe(plan: Plan, log: Log) -> Observed:
    """Return all measures of one replication."""
    customers = _Customers(plan, log)
    scenario = plan.scenario
    batches = BATCHES if scenario.replications == 1 else 1
    edges = np.linspace(scenario.warm_up, scenario.duration, batches + 1)
    floor = _Agents(plan, log)

    def window(start: float, end: float) -> Figures:
        # Counts are reported for the whole time; a batch is a part of it.
        part = (end - start) / (scenario.duration - scenario.warm_up)
        found = {**customers.figures(start, end, part), **floor.figures(start, end, part)}
        found["all/cost_per_answer"] = (found["all/cost"][0], found["all/answered"][0])
        return found

    windows = tuple(window(start, end) for start, end in pairwise(edges))
    return Observed(
        windows,
        windows[0] if batches == 1 else window(scenario.warm_up, scenario.duration),
        customers.by_period(),
        tuple(customers.waits(start, end, batches * scenario.replications) for start, end in pairwise(edges)),
        len(log.kind),
        log.commands,
        log.retries,
        log.handed_over,
    )


class _Customers:
    """The log's attempts as columns; times in s, except `arrived`, in ms."""

    def __init__(self, plan: Plan, log: Log) -> None:
        self._plan = plan
        of_kind = np.array([kind.type_index for kind in plan.kinds])
        self.type = of_kind[np.array(log.kind, dtype=np.int64)]
        self.arrived = np.array(log.arrived)
        self.outcome = np.array(log.outcome)
        waited = np.array(log.waited)
        within = np.array([threshold.within for threshold in plan.thresholds])[self.type]
        short = np.array([threshold.short for threshold in plan.thresholds])[self.type]
        self.waited = waited / 1_000
        self.in_time = (self.outcome == ANSWERED) & (waited <= within)
        self.short = (self.outcome == ABANDONED) & (waited < short)

    def counted(self, start: float, end: float) -> NDArray[np.bool_]:
        """Return which customers arrived in a window."""
        return (self.arrived >= start) & (self.arrived < end)

    def figures(self, start: float, end: float, part: float) -> dict[str, Ratio]:
        """Return the figures of all types together and of each type."""
        counted = self.counted(start, end)
        found: dict[str, Ratio] = {}
        for number, name in [(-1, ALL), *enumerate(self._plan.types)]:
            mine = counted if number < 0 else counted & (self.type == number)
            found.update({f"{name}/{key}": ratio for key, ratio in self._of(mine, part).items()})
        return found

    def _of(self, mine: NDArray[np.bool_], part: float) -> dict[str, Ratio]:
        outcome, waited = self.outcome[mine], self.waited[mine]
        called = float(len(outcome))
        blocked = float((outcome == BLOCKED).sum())
        answered = float((outcome == ANSWERED).sum())
        offered, in_time = called - blocked, float(self.in_time[mine].sum())
        abandoned = float((outcome == ABANDONED).sum())
        entered = waited[outcome != BLOCKED]
        return {
            "offered": (offered, part),
            "answered": (answered, part),
            "service_level_offered": (in_time, offered),
            "service_level_offered_less_short_abandons": (in_time, offered - float(self.short[mine].sum())),
            "service_level_answered": (in_time, answered),
            "mean_wait_answered_s": (float(waited[outcome == ANSWERED].sum()), answered),
            "mean_wait_s": (float(entered.sum()), offered),
            "waited": (float((entered > 0).sum()), offered),
            "abandoned": (abandoned, offered),
            "blocked": (blocked, called),
            "unserved": (float((outcome == UNSERVED).sum()), offered),
            "cancelled": (float((outcome == CANCELLED).sum()), offered),
        }

    def waits(self, start: float, end: float, windows: int) -> tuple[Sample, ...]:
        """Return the waits of those who entered the queue in a window, by type."""
        entered = self.counted(start, end) & (self.outcome != BLOCKED)
        return tuple(sample(self.waited[entered & (self.type == n)], windows) for n in range(len(self._plan.types)))

    def by_period(self) -> Vector:
        """Return the figures by period, see `Observed`. Attempts after the end count in the last period."""
        scenario = self._plan.scenario
        periods = int(-(-scenario.duration // scenario.period))
        period = np.minimum((self.arrived // scenario.period).astype(np.int64), periods - 1)
        made = np.zeros((len(self._plan.types) + 1, periods, 4))
        answered = self.outcome == ANSWERED
        columns = (self.outcome != BLOCKED, self.in_time, answered, np.where(answered, self.waited, 0.0))
        for number in range(len(self._plan.types)):
            mine = self.type == number
            for place, column in enumerate(columns):
                made[number, :, place] = np.bincount(
                    period[mine], weights=column[mine].astype(float), minlength=periods
                )
        made[-1] = made[:-1].sum(axis=0)
        return made


class _Agents:
    """Agents who were present, and who were busy, as columns of (agent, from, to) in ms."""

    def __init__(self, plan: Plan, log: Log) -> None:
        self._plan = plan
        end = plan.scenario.duration
        shifts = [(n, start, min(stop, end)) for n, desk in enumerate(plan.desks) for start, stop in desk.shifts]
        self._present = _columns(shifts + log.overtime)
        self._busy = _columns(sorted(log.busy))
        self._group = np.array([desk.group for desk in plan.desks])

    def figures(self, start: float, end: float, part: float) -> dict[str, Ratio]:
        """Return for each group: occupancy, fairness (Gini, most over mean), longest idle time, hours and cost; and occupancy and cost of all."""
        agents = len(self._group)
        present = _within(self._present, start, end, agents)
        busy = _within(self._busy, start, end, agents)
        gaps = self._gaps(start, end)
        found: dict[str, Ratio] = {}
        total = 0.0
        for number, name in enumerate(self._plan.groups):
            mine = np.flatnonzero((self._group == number) & (present > 0))
            group = self._plan.scenario.groups.get(name)
            hours = float(present[mine].sum()) / _HOUR_MS
            cost = hours * (group.cost_per_hour if group is not None else 0.0)
            total += cost
            shares = busy[mine] / present[mine]
            some = float(len(mine) > 0)
            gini, spread = _inequality(shares)
            found[f"group {name}/occupancy"] = (float(busy[mine].sum()), float(present[mine].sum()))
            found[f"group {name}/gini"] = (gini, some)
            found[f"group {name}/most_over_mean"] = (spread, some)
            found[f"group {name}/longest_idle_s"] = (float(gaps[mine].max(initial=0.0)) / 1_000, some)
            found[f"group {name}/staffed_hours"] = (hours, part)
            found[f"group {name}/cost"] = (cost, part)
        found["all/occupancy"] = (float(busy.sum()), float(present.sum()))
        found["all/staffed_hours"] = (float(present.sum()) / _HOUR_MS, part)
        found["all/cost"] = (total, part)
        return found

    def _gaps(self, start: float, end: float) -> Vector:
        """Return the longest time that each agent was present without any interaction, ms."""
        longest = np.zeros(len(self._group))
        busy_agent, busy_from, busy_to = self._busy
        for agent, since, until in zip(*self._present, strict=True):
            low, high = max(since, start), min(until, end)
            if high <= low:
                continue
            first = np.searchsorted(busy_agent, agent)
            last = np.searchsorted(busy_agent, agent, side="right")
            froms = np.clip(np.append(busy_from[first:last], high), low, high)
            tos = np.clip(np.insert(busy_to[first:last], 0, low), low, high)
            longest[int(agent)] = max(longest[int(agent)], float((froms - tos).max()))
        return longest


Columns = tuple[Vector, Vector, Vector]


def _columns(rows: list[tuple[int, float, float]]) -> Columns:
    made = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return made[:, 0], made[:, 1], made[:, 2]


def _within(columns: Columns, start: float, end: float, agents: int) -> Vector:
    """Return how much of each agent's intervals is in a window, ms."""
    agent, since, until = columns
    lasting = np.clip(np.minimum(until, end) - np.maximum(since, start), 0, None)
    return np.bincount(agent.astype(np.int64), weights=lasting, minlength=agents).astype(np.float64)


def _inequality(shares: Vector) -> tuple[float, float]:
    """Return Gini's coefficient, and the most over the mean; (0, 1) when no agent was busy."""
    n, total = len(shares), float(shares.sum())
    if not n or total <= 0:
        return 0.0, 1.0
    ordered = np.sort(shares)
    rank = np.arange(1, n + 1)
    return float((2 * rank - n - 1) @ ordered / (n * total)), float(ordered[-1] * n / total)
