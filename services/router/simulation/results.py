"""Compute figures with intervals from observations of cases, to be printed, drawn, or given to programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from services.router.simulation.distributions import Vector
from services.router.simulation.measures import ALL, CURVE, NOT_SUMS, Observed
from services.router.simulation.replications import Question
from services.router.simulation.statistics import Estimate, Ratio, difference, estimate


@dataclass(frozen=True, slots=True)
class Case:
    """The observations of one policy and staffing."""

    label: str
    observed: Sequence[Observed]
    staffing: Mapping[str, int]
    within_s: Mapping[str, float]
    """Threshold of the service level of each type."""

    def ratios(self, name: str) -> list[Ratio]:
        """Return the observations of a figure."""
        return [window[name] for one in self.observed for window in one.windows]

    def names(self) -> list[str]:
        """Return the names of all figures."""
        return list(self.observed[0].windows[0])

    def by_period(self, kind: int = -1) -> tuple[Vector, Vector]:
        """Return the service level (of offered) by period, and half its interval's width; NaN where no customer came. -1: all types."""
        counts = np.array([one.by_period[kind] for one in self.observed])
        offered, in_time = counts[:, :, 0], counts[:, :, 1]
        value, half = np.full(offered.shape[1], np.nan), np.full(offered.shape[1], np.nan)
        for period in range(offered.shape[1]):
            found = estimate(list(zip(in_time[:, period], offered[:, period], strict=True)), 0.95)
            if found.value is not None:
                value[period], half[period] = found.value, np.nan if found.half is None else found.half
        return value, half

    def curve(self) -> Vector:
        """Return percentiles of waits, s: the mean of the replications'."""
        curves = np.array([one.curve for one in self.observed])
        seen = curves[~np.isnan(curves).any(axis=1)]
        return seen.mean(axis=0) if len(seen) else np.full(CURVE, np.nan)


@dataclass(frozen=True, slots=True)
class Results:
    """The results of one or two cases of a question."""

    question: Question
    cases: tuple[Case, ...]
    confidence: float
    not_plain: str | None = None
    """Why the shortcut could not be used although it was asked for; empty when it was used; None when it was not asked for."""

    def estimate(self, case: Case, name: str) -> Estimate:
        """Return the estimate of a figure."""
        found = estimate(case.ratios(name), self.confidence)
        if not self.batches or name.rpartition("/")[2] not in NOT_SUMS:
            return found
        # The batches show how much the value varies, not the value itself.
        above, below = case.observed[0].whole[name]
        return replace(found, value=above / below if below else None)

    def difference(self, name: str) -> Estimate:
        """Return the second case minus the first, in pairs."""
        one, other = self.cases
        return difference(one.ratios(name), other.ratios(name), self.confidence)

    @property
    def batches(self) -> bool:
        """Whether the intervals come from batches of a single replication."""
        return self.question.scenario.replications == 1

    def data(self) -> dict[str, Any]:
        """Return the results for programs: figures of types and groups by name; an interval's ends are null where there is none."""
        scenario = self.question.scenario
        found: dict[str, Any] = {
            "scenario": scenario.name,
            "replications": scenario.replications,
            "intervals": "batch means" if self.batches else "replications",
            "confidence": self.confidence,
            "seed": scenario.seed,
            "shortcut": self.not_plain == "",
            "cases": [self._of(case) for case in self.cases],
        }
        if len(self.cases) == 2:
            shared = [name for name in self.cases[0].names() if name in set(self.cases[1].names())]
            found["differences"] = _nested((name, _data(self.difference(name))) for name in shared)
        return found

    def _of(self, case: Case) -> dict[str, Any]:
        value, half = case.by_period()
        return {
            "label": case.label,
            "staffing": dict(case.staffing),
            "service_level_within_s": dict(case.within_s),
            "figures": _nested((name, _data(self.estimate(case, name))) for name in case.names()),
            "service_level_by_period": [
                {"start_s": n * self.question.scenario.period / 1_000, "value": _number(v), "half": _number(h)}
                for n, (v, h) in enumerate(zip(value, half, strict=True))
            ],
            "wait_percentiles_s": [_number(v) for v in case.curve()],
            "customers": sum(one.customers for one in case.observed),
            "commands": sum(one.commands for one in case.observed),
            "retries": sum(one.retries for one in case.observed),
            "handed_over": sum(one.handed_over for one in case.observed),
        }


def types_of(results: Results) -> list[str]:
    """Return `all` and then the types, or only one type when there is only one."""
    names = dict.fromkeys(name.partition("/")[0] for name in results.cases[0].names())
    types = [name for name in names if name != ALL and not name.startswith("group ")]
    return [ALL] if len(types) == 1 else [ALL, *types]


def groups_of(case: Case) -> list[str]:
    """Return the names of the groups of a case."""
    names = dict.fromkeys(name.partition("/")[0] for name in case.names())
    return [name.removeprefix("group ") for name in names if name.startswith("group ")]


def _nested(pairs: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in pairs:
        whose, _, figure = name.partition("/")
        found.setdefault(whose, {})[figure] = value
    return found


def _data(found: Estimate) -> dict[str, float | None]:
    return {"value": found.value, "low": found.low, "high": found.high}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
