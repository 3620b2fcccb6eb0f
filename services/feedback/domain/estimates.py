"""Scores and their confidence: every figure with its sample size and its 95 % interval.

- Shares: Wilson score interval (Wilson 1927).
- NPS and CES net: adjusted Wald, adding three responses of which 3/4 promoters and 3/4 detractors (Bonett and Price
  2012); the value is the adjusted one, the middle of its interval.
- Mean: Student's t interval, cut to the scale.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from services.policy.model.surveys import SCALES, SurveyKind

Z95: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its sample size and 95 % interval."""

    value: float
    n: int
    low: float
    high: float
    method: str


def wilson(successes: int, n: int) -> Estimate:
    """Return the share `successes / n`, 0 to 1. Raises ValueError unless 0 <= successes <= n and n > 0."""
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is not a share")
    share = successes / n
    z2 = Z95 * Z95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At the ends the bound is the end itself; rounding must not change that.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return Estimate(share, n, low, high, "wilson")


def net_score(positive: int, negative: int, n: int) -> Estimate:
    """Return the percentage positive less the percentage negative, -100 to 100. Raises ValueError for counts that do
    not fit or n = 0."""
    if n <= 0 or positive < 0 or negative < 0 or positive + negative > n:
        raise ValueError(f"{positive} positive and {negative} negative of {n} is not a net score")
    total = n + 3
    p, q = (positive + 0.75) / total, (negative + 0.75) / total
    net = p - q
    half = Z95 * math.sqrt((p + q - net * net) / total)
    return Estimate(100 * net, n, 100 * max(-1.0, net - half), 100 * min(1.0, net + half), "adjusted-wald")


def mean_score(histogram: Mapping[int, int], scale: range) -> Estimate:
    """Return the mean on the scale. One response alone says nothing about spread: its interval is the whole scale.
    Raises ValueError for n = 0."""
    n = sum(histogram.values())
    if n <= 0:
        raise ValueError("a mean needs responses")
    mean = sum(score * count for score, count in histogram.items()) / n
    least, most = float(scale[0]), float(scale[-1])
    if n == 1:
        return Estimate(mean, n, least, most, "student-t")
    variance = sum(count * (score - mean) ** 2 for score, count in histogram.items()) / (n - 1)
    half = t95(n - 1) * math.sqrt(variance / n)
    return Estimate(mean, n, max(least, mean - half), min(most, mean + half), "student-t")


def t95(df: float) -> float:
    """Return the two-sided 95 % quantile of Student's t: exact for 1 and 2 degrees of freedom, else Abramowitz and
    Stegun 26.7.5 (error < .01 from 3 on).

    Below 3, a fraction of degrees (Welch) is rounded down, which gives the wider interval.
    """
    if df < 2:
        return 12.706204736432095
    if df < 3:
        return 4.302652729911275
    z = Z95
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / df + g2 / df**2 + g3 / df**3 + g4 / df**4


def measures(kind: SurveyKind | None, histogram: Mapping[int, int]) -> dict[str, Estimate]:
    """Return every measure of this kind by name; None is first contacts, where 1 means resolved.

    Empty without responses (no figure is better than one without n), and for free text, which has no scale.
    """
    n = sum(histogram.values())

    def count(least: int, most: int) -> int:
        return sum(c for score, c in histogram.items() if least <= score <= most)

    if n == 0:
        return {}
    if kind is None:
        return {"fcr": wilson(count(1, 1), n)}
    by_kind: dict[str, Callable[[], dict[str, Estimate]]] = {
        SurveyKind.CSAT: lambda: {"csat": wilson(count(4, 5), n)},
        SurveyKind.NPS: lambda: {"nps": net_score(count(9, 10), count(0, 6), n)},
        SurveyKind.CES: lambda: {
            "ces_mean": mean_score(histogram, SCALES[SurveyKind.CES]),
            "ces_share_5_7": wilson(count(5, 7), n),
            "ces_net": net_score(count(6, 7), count(1, 3), n),
        },
    }
    measured = by_kind.get(kind)
    return measured() if measured is not None else {}


def response_rate(answered: int, invited: int) -> Estimate | None:
    """Return responses over invitations, or None if there were no invitations."""
    # More responses than invitations can only mean that the invitations were retained for a shorter time; the rate is
    # then unknown.
    if invited <= 0 or answered > invited:
        return None
    return wilson(answered, invited)
