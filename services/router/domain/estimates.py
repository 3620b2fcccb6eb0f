"""How long something would wait: the observed drain rate of its queue.

Only intervals between two departures during which something waited are counted: while nobody waits, departures follow arrivals and say
nothing about how fast a line would move. The wait at position p is the sum of p such intervals: gamma-distributed with shape p when they
are exponential, so its quantiles come from Wilson and Hilferty's approximation (1931).
"""

from collections import deque
from collections.abc import Sequence
from math import sqrt
from typing import Final

_KEPT: Final = 32
_P90: Final = 1.2815515655446004


class Drain:
    """Departures of one queue."""

    __slots__ = ("intervals", "since")

    def __init__(self, since: int = 0, intervals: Sequence[int] = ()) -> None:
        self.since = since
        """Departure after which something was left waiting; 0 when nothing was."""
        self.intervals: deque[int] = deque(intervals, maxlen=_KEPT)

    def departed(self, now: int, left_waiting: bool) -> None:
        """Something left the queue for an agent."""
        if self.since:
            self.intervals.append(max(0, now - self.since))
        self.since = now if left_waiting else 0

    @property
    def n(self) -> int:
        """Observations."""
        return len(self.intervals)

    def quantile_ms(self, position: int, z: float = 0.0) -> int:
        """The wait at a position, at the quantile with normal score `z`; -1 without history."""
        if not self.intervals:
            return -1
        mean = sum(self.intervals) / len(self.intervals)
        shape = max(1, position)
        factor = 1 - 1 / (9 * shape) + z * sqrt(1 / (9 * shape))
        return round(mean * shape * factor**3)

    def p90_ms(self, position: int) -> int:
        """Ninth decile; -1 without history."""
        return self.quantile_ms(position, _P90)
