"""Compute figures with intervals from observations of cases, to be printed, drawn, or given to programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from services.router.simulation.distributions import Vector
from services.router.simulation.measures import ALL, NOT_SUMS, Observed
from services.router.simulation.replications import Question
from services.router.simulation.statistics import Estimate, Ratio, difference, estimate, half_width
from services.router.simulation.waits import Waits, of_type

QUANTILES: Final = {"wait_p50_s": 0.5, "wait_p90_s": 0.9, "wait_p95_s": 0.95}
"""Waits that a share of the customers does not exceed, by the name of the figure."""
CURVE: Final = 101
"""Points of the distribution of waits: its percentiles."""


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
        types = [f"{name}/{quantile}" for name in (ALL, *self.types()) for quantile in QUANTILES]
        return [*self.observed[0].windows[0], *types]

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

    def waits(self, name: str = ALL) -> Waits:
        """Return the waits of a type; by default those of all types together."""
        windows = [window for one in self.observed for window in one.waits]
        return of_type(windows, -1 if name == ALL else self.types().index(name))

    def types(self) -> list[str]:
        """Return the names of the types."""
        names = [name.partition("/")[0] for name in self.observed[0].windows[0] if name.endswith("/offered")]
        return [name for name in names if name != ALL]

    def estimate(self, name: str, confidence: float) -> Estimate:
        """Return the estimate of a figure from its observations."""
        whose, _, figure = name.rpartition("/")
        if figure in QUANTILES:
            return self.waits(whose).estimate(QUANTILES[figure], confidence)
        return estimate(self.ratios(name), confidence)


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
        found = case.estimate(name, self.confidence)
        if not self.batches or name.rpartition("/")[2] not in NOT_SUMS:
            return found
        # The batches show how much the value varies, not the value itself.
        above, below = case.observed[0].whole[name]
        return replace(found, value=above / below if below else None)

    def difference(self, name: str) -> Estimate:
        """Return the second case minus the first, in pairs."""
        one, other = self.cases
        whose, _, figure = name.rpartition("/")
        if figure in QUANTILES:
            return _moved(one.waits(whose), other.waits(whose), QUANTILES[figure], self.confidence)
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
        waits = case.waits()
        low, high = waits.band(CURVE, self.confidence)
        return {
            "label": case.label,
            "staffing": dict(case.staffing),
            "service_level_within_s": dict(case.within_s),
            "figures": _nested((name, _data(self.estimate(case, name))) for name in case.names()),
            "service_level_by_period": [
                {"start_s": n * self.question.scenario.period / 1_000, "value": _number(v), "half": _number(h)}
                for n, (v, h) in enumerate(zip(value, half, strict=True))
            ],
            "wait_percentiles_s": [_number(v) for v in waits.curve(CURVE)],
            "wait_percentiles_low_s": [_number(v) for v in low],
            "wait_percentiles_high_s": [_number(v) for v in high],
            "customers": sum(one.customers for one in case.observed),
            "commands": sum(one.commands for one in case.observed),
            "retries": sum(one.retries for one in case.observed),
            "handed_over": sum(one.handed_over for one in case.observed),
        }


def _moved(ours: Waits, theirs: Waits, share: float, confidence: float) -> Estimate:
    """Return the difference of a quantile, theirs minus ours, whose days belong together in pairs."""
    one, other = ours.quantile(share), theirs.quantile(share)
    if one is None or other is None:
        return Estimate(None, None, ours.days)
    before, after = ours.deviations(share, confidence), theirs.deviations(share, confidence)
    half = half_width(after - before, confidence) if before is not None and after is not None else None
    return Estimate(other - one, half, ours.days)


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
