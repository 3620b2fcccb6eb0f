"""Quantiles of customers' waits over several days, with intervals.

A quantile is that of all customers of all days together: a mean of each day's own quantile answers another question, because a quiet day counts in
it as much as a busy one. Customers of one day share its busyness, so days are the observations. The interval holds every wait that they do not
contradict: at the true quantile x, the number N of the n customers of a day who waited at most x is p n, except for noise, so a test of N - p n
over the days accepts x: Student's, corrected for skewness, because few days have most of the long waits (Hall, "On the removal of skewness by
transformation", 1992). Customers are independent at best, so the noise is at least binomial.

Batches of a single replication take the place of days.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from services.router.simulation.distributions import Vector
from services.router.simulation.statistics import Estimate

MOST_POINTS: Final = 20_000
LEAST_POINTS: Final = 400
_POINTS_IN_ALL: Final = 4_000_000
_FEWEST_DAYS: Final = 2
"""If the customers beyond a quantile are of fewer days (equal days with the same concentration), its upper end is not known."""
_STEPS: Final = 32
"""Waits that one round of the search for an end compares."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Waits of the customers of one type and window, s, sorted. A part of them, evenly spaced, when there are more than is kept."""

    points: Vector
    customers: int


def sample(waits: Vector, windows: int) -> Sample:
    """Return the sample of these waits; `windows`: the number of windows in all replications, which share the memory."""
    most = min(MOST_POINTS, max(LEAST_POINTS, _POINTS_IN_ALL // windows))
    points = np.sort(waits)
    if len(points) > most:
        points = points[((np.arange(most) + 0.5) * (len(points) / most)).astype(np.int64)]
    return Sample(points, len(waits))


class Waits:
    """Waits of several days."""

    def __init__(self, days: Sequence[Sequence[Sample]]) -> None:
        """Each day has a sample of each type that counts."""
        pairs = [_merged(day) for day in days]
        self._values = [values for values, _ in pairs]
        self._below = [np.concatenate([[0.0], weights.cumsum()]) for _, weights in pairs]
        self._customers = np.array([float(below[-1]) for below in self._below])
        self._pooled, weights = _sorted(np.concatenate([v for v, _ in pairs]), np.concatenate([w for _, w in pairs]))
        total = weights.cumsum()
        self._share = total / total[-1] if len(total) else total

    @property
    def days(self) -> int:
        """Return the number of days."""
        return len(self._values)

    def quantile(self, share: float) -> float | None:
        """Return the least wait that at least this share of all customers does not exceed; None without customers."""
        if not len(self._pooled):
            return None
        # A sum of weights may be off by its last digits.
        place = int(np.searchsorted(self._share, share * (1 - 1e-12)))
        return float(self._pooled[min(place, len(self._pooled) - 1)])

    def estimate(self, share: float, confidence: float) -> Estimate:
        """Return a quantile with its interval. The interval has no upper end where there are too few customers beyond the quantile."""
        value, days = self.quantile(share), self.days
        if value is None or days < 2:
            return Estimate(value, None, days)
        student = float(stdtrit(days - 1, (1 + confidence) / 2))
        low = self._first(lambda waits: self._excess(self._residuals(waits, share), share, student) >= 0)
        high = self._first(lambda waits: self._excess(self._residuals(waits, share), share, -student) >= 0)
        beyond = self._customers - self._counts(np.nextafter([value], -np.inf))[:, 0]
        if beyond.sum() ** 2 < _FEWEST_DAYS * (beyond**2).sum():
            high = None
        return Estimate(value, None, days, (min(value, 0.0 if low is None else low), high))

    def deviations(self, share: float, confidence: float) -> Vector | None:
        """Return how much each day moves the quantile, s (the first-order effect on the quantile of all days); None where that is not known."""
        found, days = self.estimate(share, confidence), self.days
        if found.value is None or found.low is None or found.high is None:
            return None
        residuals = self._residuals(np.array([found.value]), share)[:, 0]
        noise = float(stdtrit(days - 1, (1 + confidence) / 2)) * self._noise(residuals[:, None], share)[0]
        slope = (found.high - found.low) * self._customers.sum() / (2 * noise) if noise else 0.0
        return np.asarray((residuals.mean() - residuals) / self._customers.mean() * slope, dtype=np.float64)

    def curve(self, points: int) -> Vector:
        """Return waits at evenly spaced shares from 0 to 1; NaN without customers."""
        found = [self.quantile(share) for share in np.linspace(0, 1, points)]
        return np.array([np.nan if one is None else one for one in found])

    def band(self, points: int, confidence: float) -> tuple[Vector, Vector]:
        """Return the ends of the interval of each point of the curve, rounded outwards to points of the curve; NaN where there is none."""
        curve, days = self.curve(points), self.days
        low, high = np.full(points, np.nan), np.full(points, np.nan)
        if days < 2 or not len(self._pooled):
            return low, high
        student = float(stdtrit(days - 1, (1 + confidence) / 2))
        counts = self._counts(curve)
        for place, share in enumerate(np.linspace(0, 1, points)):
            residuals = counts - share * self._customers[:, None]
            above = np.flatnonzero(self._excess(residuals, share, student) >= 0)
            below = np.flatnonzero(self._excess(residuals, share, -student) >= 0)
            low[place] = min(curve[place], curve[max(0, int(above[0]) - 1)]) if len(above) else curve[place]
            high[place] = max(curve[place], curve[int(below[0])]) if len(below) else np.nan
        return low, high

    def _counts(self, waits: Vector) -> Vector:
        """Return for each day and wait how many customers waited at most so long."""
        pairs = zip(self._values, self._below, strict=True)
        return np.array([below[np.searchsorted(values, waits, side="right")] for values, below in pairs])

    def _residuals(self, waits: Vector, share: float) -> Vector:
        """Return how many more they are than the share of the day's customers."""
        found: Vector = self._counts(waits) - share * self._customers[:, None]
        return found

    def _noise(self, residuals: Vector, share: float) -> Vector:
        """Return the standard error of the sum over all days."""
        least = sqrt(share * (1 - share) * float(self._customers.sum()))
        spread: Vector = np.maximum(residuals.std(axis=0, ddof=1) * sqrt(len(residuals)), least)
        return spread

    def _excess(self, residuals: Vector, share: float, student: float) -> Vector:
        """Return by how much the test of a sum of zero, with this quantile of Student's, is exceeded, for each wait."""
        days, customers = len(residuals), float(self._customers.sum())
        least = share * (1 - share) * customers
        spread = np.sqrt(np.maximum(residuals.var(axis=0, ddof=1), least / days))
        spread[spread == 0] = np.inf
        mean = residuals.mean(axis=0)
        skewness = ((residuals - mean) ** 3).mean(axis=0) / spread**3
        at = mean / spread
        moved = at + skewness * at**2 / 3 + skewness**2 * at**3 / 27 + skewness / (6 * days)
        found: Vector = moved * sqrt(days) + student
        return found

    def _first(self, holds: Callable[[Vector], NDArray[np.bool_]]) -> float | None:
        """Return the first wait for which a condition holds that holds for all later ones too; None when it holds for none."""
        low, high = 0, len(self._pooled)  # the place is in [low, high]
        while low < high:
            places = np.unique(np.linspace(low, high - 1, min(_STEPS, high - low)).astype(np.int64))
            held = np.flatnonzero(holds(self._pooled[places]))
            if not len(held):
                low = int(places[-1]) + 1
                continue
            first = int(held[0])
            low, high = (int(places[first - 1]) + 1 if first else low), int(places[first])
        return float(self._pooled[low]) if low < len(self._pooled) else None


def of_type(windows: Sequence[tuple[Sample, ...]], kind: int) -> Waits:
    """Return the waits of one type, by its index; -1: of all types together."""
    return Waits([window if kind < 0 else window[kind : kind + 1] for window in windows])


def _merged(day: Sequence[Sample]) -> tuple[Vector, Vector]:
    values = np.concatenate([one.points for one in day]) if day else np.zeros(0)
    counts = [np.full(len(one.points), one.customers / max(1, len(one.points))) for one in day]
    return _sorted(values, np.concatenate(counts) if day else np.zeros(0))


def _sorted(values: Vector, weights: Vector) -> tuple[Vector, Vector]:
    order = np.argsort(values, kind="stable")
    return values[order], weights[order]
