"""How sure a ratio of percentiles is: the block bootstrap (Künsch, 1989).

Latencies that follow one another resemble each other, because one stall delays several messages. So whole blocks of
neighbours are drawn with replacement, not single values.
"""

import random
from collections.abc import Sequence
from typing import Final

from tests.bench.stand import percentile

_TIMES: Final = 1000
_TAIL: Final = 0.025


def least_samples(share: float, above: int = 10) -> int:
    """Samples of which `above` lie beyond the percentile: with fewer it is little more than the maximum."""
    return round(above / (1 - share))


def ratio_interval(over: Sequence[float], under: Sequence[float], share: float, block: int) -> tuple[float, float]:
    """The 95 % interval of percentile(over) / percentile(under). Values in the order in which they were taken."""
    draw = random.Random(0)
    ratios = sorted(
        percentile(_drawn(over, block, draw), share) / percentile(_drawn(under, block, draw), share)
        for _ in range(_TIMES)
    )
    return ratios[int(_TIMES * _TAIL)], ratios[int(_TIMES * (1 - _TAIL))]


def _drawn(values: Sequence[float], block: int, draw: random.Random) -> list[float]:
    found: list[float] = []
    while len(found) < len(values):
        begin = draw.randrange(max(1, len(values) - block + 1))
        found += values[begin : begin + block]
    return found[: len(values)]
