"""The history of a queue: how fast it moves, how patient its customers are, how well it keeps its service level, how high its demand is.

All of it is written to the changelog, so that a restored engine decides as the one before it would have done.
"""

from math import exp, isfinite, log, sqrt
from typing import Final

from services.router.domain.entries import HistoryEntry

_PACE_OF: Final = 32
"""Number of departures over which the pace is estimated: each new one fades the older ones by 1/32."""
_PACE_HALF_LIFE_MS: Final = 1_800_000
"""Departures of half an hour ago count half: the pace of the morning says little about the evening."""
_LEAST_SEEN: Final = 0.5
"""With less than this number of faded departures, the pace is unknown."""
_OUTCOMES: Final = 500
"""Number of departures over which patience is estimated: each new one fades the older ones by 1/500."""
_LEVEL_OF: Final = 100
_EXACT: Final = 16
_P90: Final = 1.2815515655446004
_MINUTES: Final = 43
"""Number of minutes over which the outcomes a minute are estimated: each new one fades the older ones by 1/43, half in thirty."""
_HALF_LIFE_MS: Final = 300_000
_LN2: Final = log(2)


class History:
    """The history of one queue."""

    __slots__ = (
        "_asked",
        "_asked_at",
        "_departures",
        "_ended_in",
        "_exposure",
        "_learnt_at",
        "_left",
        "_level",
        "_minutes",
        "_since",
        "_staffed_ms",
        "in_minute",
        "minute_since",
        "outcomes",
        "shift_ms",
    )

    def __init__(self) -> None:
        self._since = 0
        """Time of the last departure after which something was still waiting; 0 when nothing was."""
        self._departures = 0.0
        self._staffed_ms = 0.0
        """Milliseconds of agents between these departures: with twice the agents, a millisecond counts twice."""
        self._learnt_at = 0
        self._left = 0.0
        self._exposure = 0.0
        self._level = 0
        self.outcomes = 0
        """Number of outcomes that `level` knows, at most 100."""
        self.minute_since = 0
        """When the minute after which the shifts move began, with an outcome; 0 before one, and in queues that are not adaptive."""
        self.in_minute = (0, 0)
        """Customers answered in time, and all who were answered or left, since the shifts moved last."""
        self._ended_in = 0.0
        self._minutes = 0.0
        self._asked = 0.0
        self._asked_at = 0
        self.shift_ms = 0.0
        """By how much later the ADAPTIVE order takes interactions that arrive from now on: see `goals`."""

    # Recording

    def arrived(self, now: int) -> None:
        """Record that an interaction entered the queue."""
        self._asked = self.demand(now) + 1
        self._asked_at = now

    def departed(
        self, now: int, waited_ms: int, *, in_time: bool, left_waiting: bool, staff: int, counts: bool = True
    ) -> None:
        """Record that an interaction was assigned to an agent; `left_waiting`: something still waits; `staff`: agents at work now.
        `counts` false: its customer is in the service level already."""
        if self._since:
            fade = self._faded(now) * (1 - 1 / _PACE_OF)
            self._departures = self._departures * fade + 1
            self._staffed_ms = self._staffed_ms * fade + max(0, now - self._since) * max(1, staff)
            self._learnt_at = now
        self._since = now if left_waiting else 0
        self._ended(waited_ms, False, in_time, counts)

    def abandoned(self, now: int, waited_ms: int, *, left_waiting: bool, counts: bool = True) -> None:
        """Record that a customer left without being served. `counts` as in `departed`: an agent had served them, and was lost."""
        if not left_waiting:
            self._since = 0
        self._ended(waited_ms, True, False, counts)

    def _ended(self, waited_ms: int, left: bool, in_time: bool, counts: bool) -> None:
        fade = 1 - 1 / _OUTCOMES
        self._left = self._left * fade + left
        self._exposure = self._exposure * fade + waited_ms
        if not counts:
            return
        self._level = (self._level << 1 | in_time) & ((1 << _LEVEL_OF) - 1)
        self.outcomes = min(_LEVEL_OF, self.outcomes + 1)
        if self.minute_since:
            self.in_minute = (self.in_minute[0] + in_time, self.in_minute[1] + 1)

    def end_minute(self) -> None:
        """Record that the shifts have moved. Another minute begins with the next outcome."""
        fade = 1 - 1 / _MINUTES
        self._ended_in = self._ended_in * fade + self.in_minute[1]
        self._minutes = self._minutes * fade + 1
        self.forget_minute()

    def forget_minute(self) -> None:
        """Drop the minute: the queue is not adaptive any more."""
        self.minute_since, self.in_minute = 0, (0, 0)

    # Measures

    def seen(self, now: int) -> float:
        """Return the number of departures while something waited from which the pace is known; older ones count less."""
        return self._departures * self._faded(now)

    def _faded(self, now: int) -> float:
        return exp(-_LN2 * max(0, now - self._learnt_at) / _PACE_HALF_LIFE_MS)

    @property
    def level(self) -> float | None:
        """Share in time among the last 100 that were answered or left; None before the first."""
        return self._level.bit_count() / self.outcomes if self.outcomes else None

    @property
    def ends_a_minute(self) -> float:
        """Outcomes in a minute with outcomes of adaptive queues: of the last half hour mostly, with this one."""
        return (self._ended_in + self.in_minute[1]) / (self._minutes + 1)

    def demand(self, now: int) -> float:
        """Return the recent arrivals: each counts half after five minutes."""
        return self._asked * exp(-_LN2 * max(0, now - self._asked_at) / _HALF_LIFE_MS)

    def prospect_ms(self, now: int, position: int, staff: int) -> tuple[int, int]:
        """Return the estimated wait at a position, P50 and P90, milliseconds; -1 without agents, or when the pace is unknown.

        Each of the `staff` agents takes interactions at the pace that was seen, so they depart at rate r; each of those before it leaves
        at rate theta: stages of mean 1/(r + i theta), i below the position (QLm; Whitt 1999). The pace is an estimate from n departures, whose
        relative variance, 1/n, is added. Quantiles of a gamma distribution of that mean and variance, by Wilson and Hilferty's
        approximation (1931).
        """
        seen = self.seen(now)
        if staff <= 0 or seen < _LEAST_SEEN:
            return (-1, -1)
        rate = self._departures * staff / max(1.0, self._staffed_ms)
        theta = self._left / self._exposure if self._exposure > 0 else 0.0
        mean, variance = _stages(rate, theta, max(1, position))
        ninth = (variance / (mean * mean) + 1 / seen) / 9
        return round(mean * max(0.0, 1 - ninth) ** 3), round(mean * max(0.0, 1 - ninth + _P90 * sqrt(ninth)) ** 3)

    # Changelog

    def dump(self) -> HistoryEntry:
        """Return the entry of the history."""
        return HistoryEntry(
            self._since,
            self._departures,
            self._staffed_ms,
            self._learnt_at,
            self._left,
            self._exposure,
            self._level.to_bytes(_LEVEL_OF // 8 + 1, "big"),
            self.outcomes,
            self.minute_since,
            self.in_minute,
            self._asked,
            self._asked_at,
            self.shift_ms,
            self._ended_in,
            self._minutes,
        )

    @classmethod
    def load(cls, entry: HistoryEntry) -> "History":
        """Return the history of an entry."""
        found = cls()
        found._since = entry.since
        found._departures, found._staffed_ms = entry.departures, entry.staffed_ms
        found._learnt_at = entry.learnt_at
        found._left, found._exposure = entry.left, entry.exposure
        found._level, found.outcomes = int.from_bytes(entry.level, "big"), entry.outcomes
        found.minute_since, found.in_minute = entry.minute_since, entry.in_minute
        found._asked, found._asked_at, found.shift_ms = entry.asked, entry.asked_at, entry.shift_ms
        found._ended_in, found._minutes = entry.ended_in, entry.minutes
        return found


def _stages(rate: float, theta: float, count: int) -> tuple[float, float]:
    """Return the mean and variance of the sum of `count` independent exponential stages of rates rate + i * theta.

    The first stages are added up; the rest is the integral with the midpoint rule. That is exact enough, and costs the same for ten thousand as
    for twenty.
    """
    head = min(count, _EXACT)
    mean = variance = 0.0
    for i in range(head):
        stage = 1 / (rate + i * theta)
        mean += stage
        variance += stage * stage
    rest = count - head
    if not rest:
        return mean, variance
    low, high = rate + (head - 0.5) * theta, rate + (count - 0.5) * theta
    if theta <= 0 or not isfinite(high) or high - low < 1e-9 * low:
        return mean + rest / low, variance + rest / low**2
    return mean + log(high / low) / theta, variance + (1 / low - 1 / high) / theta
