"""Whether a score has changed: one window against the one before, by a test that fits the measure, with the
difference's 95 % interval.

- Shares (CSAT, CES 5-7, FCR): two-proportion z test with pooled variance; interval by Newcombe's hybrid score (Newcombe
  1998, method 10), from both Wilson intervals.
- Means (CES): Welch's t test and interval.
- NPS and CES net: difference of the two adjusted values (three responses added to each, as in the score itself), normal;
  Bonett and Price (2012) for each side.

Assumptions: responses are independent of each other; the two windows hold different responses; the customers who respond do
not differ between them; the window was not chosen because it looked unusual. A reader who compares many groups finds
some difference by chance: `holm` corrects for all that are compared.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.feedback.domain.estimates import Z95, Estimate, measures, t95, wilson
from services.policy.model.surveys import SurveyKind

LEVEL: Final = 0.05
ASSUMES: Final = (
    "Responses are independent; the two windows hold different responses of comparable people; windows were not chosen for their figures. "
    "p is corrected for all comparisons of this response (Holm)."
)


@dataclass(frozen=True, slots=True)
class Change:
    """A measure in this window and in the one before. `difference.value` is now less before; `p` is two-sided."""

    measure: str
    now: Estimate
    before: Estimate
    difference: Estimate
    p: float
    test: str


def changes(kind: SurveyKind | None, now: Mapping[int, int], before: Mapping[int, int]) -> list[Change]:
    """Return every measure of this kind that both windows have."""
    earlier = measures(kind, before)
    return [
        _change(name, at, earlier[name], now, before) for name, at in measures(kind, now).items() if name in earlier
    ]


def two_proportions(successes: int, n: int, successes_before: int, n_before: int) -> tuple[Estimate, float]:
    """Return the difference of two shares with Newcombe's interval, and the pooled z test's p. Raises ValueError for
    counts that are not shares."""
    now, before = wilson(successes, n), wilson(successes_before, n_before)
    gap = now.value - before.value
    low = gap - math.hypot(now.value - now.low, before.high - before.value)
    high = gap + math.hypot(now.high - now.value, before.value - before.low)
    pooled = (successes + successes_before) / (n + n_before)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_before))
    return Estimate(gap, n + n_before, max(-1.0, low), min(1.0, high), "newcombe"), _p_normal(gap, spread)


def welch(now: Mapping[int, int], before: Mapping[int, int]) -> tuple[Estimate, float]:
    """Return the difference of two means, and Welch's p. If a side has only one response, its spread is unknown: p is
    1."""
    (mean, spread, n), (mean_before, spread_before, n_before) = _moments(now), _moments(before)
    gap = mean - mean_before
    scores = (*now, *before)
    widest = float(max(scores) - min(scores))
    if min(n, n_before) < 2:
        return Estimate(gap, n + n_before, min(gap, -widest), max(gap, widest), "welch-t"), 1.0
    a, b = spread / n, spread_before / n_before
    error = math.sqrt(a + b)
    if error == 0:
        return Estimate(gap, n + n_before, gap, gap, "welch-t"), 1.0 if gap == 0 else 0.0
    freedom = (a + b) ** 2 / (a * a / (n - 1) + b * b / (n_before - 1))
    half = t95(freedom) * error
    return Estimate(gap, n + n_before, gap - half, gap + half, "welch-t"), student_p(gap / error, freedom)


def net_difference(now: tuple[int, int, int], before: tuple[int, int, int]) -> tuple[Estimate, float]:
    """Return the difference of two net scores, each (positive, negative, n), -200 to 200, and p."""
    gap, variance = 0.0, 0.0
    for sign, (positive, negative, n) in ((1, now), (-1, before)):
        total = n + 3
        p, q = (positive + 0.75) / total, (negative + 0.75) / total
        gap += sign * (p - q)
        variance += (p + q - (p - q) ** 2) / total
    error = math.sqrt(variance)
    half = Z95 * error
    found = Estimate(100 * gap, now[2] + before[2], 100 * (gap - half), 100 * (gap + half), "adjusted-wald")
    return found, _p_normal(gap, error)


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values adjusted so that the chance of one false finding among all is the level (Holm 1979), in the
    given order."""
    adjusted = [0.0] * len(ps)
    worst = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda each: ps[each])):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = worst
    return adjusted


def student_p(t: float, freedom: float) -> float:
    """Return the two-sided p of Student's t: the regularised incomplete beta function at df / (df + t²) (Abramowitz
    and Stegun 26.7.1)."""
    return _beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def _change(name: str, at: Estimate, earlier: Estimate, now: Mapping[int, int], before: Mapping[int, int]) -> Change:
    test = "two-proportion-z"
    if name == "ces_mean":
        (difference, p), test = welch(now, before), "welch-t"
    elif name in _NETS:
        (difference, p), test = net_difference(_net(name, now), _net(name, before)), "adjusted-wald-z"
    else:
        least, most = _SHARES[name]
        difference, p = two_proportions(
            _count(now, least, most), sum(now.values()), _count(before, least, most), sum(before.values())
        )
    return Change(name, at, earlier, difference, p, test)


_SHARES: Final = {"csat": (4, 5), "ces_share_5_7": (5, 7), "fcr": (1, 1)}
_NETS: Final = {"nps": ((9, 10), (0, 6)), "ces_net": ((6, 7), (1, 3))}


def _net(name: str, histogram: Mapping[int, int]) -> tuple[int, int, int]:
    up, down = _NETS[name]
    return _count(histogram, *up), _count(histogram, *down), sum(histogram.values())


def _count(histogram: Mapping[int, int], least: int, most: int) -> int:
    return sum(count for score, count in histogram.items() if least <= score <= most)


def _moments(histogram: Mapping[int, int]) -> tuple[float, float, int]:
    n = sum(histogram.values())
    mean = sum(score * count for score, count in histogram.items()) / n
    spread = sum(count * (score - mean) ** 2 for score, count in histogram.items()) / (n - 1) if n > 1 else 0.0
    return mean, spread, n


def _p_normal(gap: float, error: float) -> float:
    if error == 0:
        return 1.0 if gap == 0 else 0.0
    return math.erfc(abs(gap) / error / math.sqrt(2))


def _beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function by Lentz's continued fraction (Abramowitz and Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.exp(
        a * math.log(x) + b * math.log1p(-x) - math.log(a) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    )
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, 300):
        for top in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + top * d or tiny)
            c = 1 + top / c or tiny
            found *= d * c
        if abs(d * c - 1) < 1e-12:
            break
    return min(1.0, front * found)
