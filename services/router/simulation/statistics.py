"""Estimates with intervals.

Every figure is a ratio of two sums over *observations* (replications, or batches of one): answered in time over offered, waits over answered,
busy over staffed. Its value is the ratio of the sums, so that a day weighs as much as it has customers; its interval is Student's, on the
residuals of the ratio (Law, Simulation Modeling and Analysis, 9.4). Cases under common random numbers are compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import stdtrit

from services.router.simulation.distributions import Vector

Ratio = tuple[float, float]
"""Numerator and denominator of one observation."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and half the width of its interval; None where there is no value (no denominator; a single observation)."""

    value: float | None
    half: float | None
    observations: int
    ends: tuple[float, float | None] | None = None
    """The ends of an interval whose value is not in the middle; the upper end is None where it is not known."""

    @property
    def low(self) -> float | None:
        """Return the lower end of the interval."""
        if self.ends is not None:
            return self.ends[0]
        return None if self.value is None or self.half is None else self.value - self.half

    @property
    def high(self) -> float | None:
        """Return the upper end of the interval."""
        if self.ends is not None:
            return self.ends[1]
        return None if self.value is None or self.half is None else self.value + self.half

    def holds(self, value: float) -> bool:
        """Whether a value is within the interval. An upper end that is not known excludes no value."""
        open_above = self.ends is not None and self.high is None
        if self.low is None or value < self.low:
            return False
        return open_above or (self.high is not None and value <= self.high)


def estimate(observed: Sequence[Ratio], confidence: float) -> Estimate:
    """Return the estimate of a ratio."""
    value, residuals = _ratio(observed)
    if value is None:
        return Estimate(None, None, len(observed))
    return Estimate(value, half_width(residuals, confidence), len(observed))


def difference(ours: Sequence[Ratio], theirs: Sequence[Ratio], confidence: float) -> Estimate:
    """Return the estimate of the difference of two ratios (theirs minus ours) whose observations belong together in pairs."""
    if len(ours) != len(theirs):
        raise ValueError("both sides of a pair are needed")
    one, one_residuals = _ratio(ours)
    other, other_residuals = _ratio(theirs)
    if one is None or other is None:
        return Estimate(None, None, len(ours))
    return Estimate(other - one, half_width(other_residuals - one_residuals, confidence), len(ours))


def half_width(residuals: Vector, confidence: float) -> float | None:
    """Return half the width of Student's interval of a mean; None for a single observation."""
    n = len(residuals)
    if n < 2:
        return None
    return float(stdtrit(n - 1, (1 + confidence) / 2) * residuals.std(ddof=1) / sqrt(n))


def _ratio(observed: Sequence[Ratio]) -> tuple[float | None, Vector]:
    above = np.array([pair[0] for pair in observed], dtype=np.float64)
    below = np.array([pair[1] for pair in observed], dtype=np.float64)
    if not len(observed) or below.sum() <= 0:
        return None, np.zeros(len(observed))
    value = float(above.sum() / below.sum())
    return value, (above - value * below) / below.mean()
