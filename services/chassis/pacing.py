"""The rate limit of each tenant: the generic cell rate algorithm (ITU-T I.371), by key, in bounded memory. Pure.

A key may spend `burst` units at once and `per_s` units a second on average. Units above that wait for their turn; the caller
says how long it will wait, so at most `per_s` times that wait is ever waiting for one key.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_NO_WEIGHTS: Mapping[str, float] = MappingProxyType({})
_MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s` units a second and `burst` at once, of a key of weight 1. A `per_s` of 0 means no limit."""

    per_s: float
    burst: float


NO_LIMIT: Final = Rate(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Turn:
    """The time of a key's turn. `refused`: the turn is later than the caller would wait, and nothing was spent."""

    wait_s: float
    refused: bool = False


class Pacer:
    """The rates of many keys. Times are in seconds of any monotonic clock."""

    def __init__(self, pace: Rate, weights: Mapping[str, float] = _NO_WEIGHTS, most_keys: int = _MOST_KEYS) -> None:
        """`weights`: for each key, the factor by which its rate exceeds that of other keys."""
        self._pace = pace
        self._weights = weights
        self._most_keys = most_keys
        self._busy_until: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str, units: float, now_s: float, most_wait_s: float) -> Turn:
        """Spend units and return how long to wait for them; a wait above `most_wait_s` is refused."""
        weight = self._weights.get(key, 1.0)
        per_s = self._pace.per_s * weight
        if per_s <= 0:
            return Turn(0.0)
        # At this time the whole burst was available again: units spent earlier no longer matter.
        rested = now_s - self._pace.burst * weight / per_s
        busy = max(self._busy_until.get(key, rested), rested)
        wait = max(0.0, busy - now_s)
        if wait > most_wait_s:
            return Turn(wait, refused=True)
        self._busy_until[key] = busy + units / per_s
        self._busy_until.move_to_end(key)
        if len(self._busy_until) > self._most_keys:
            self._busy_until.popitem(last=False)
        return Turn(wait)

    @property
    def known(self) -> int:
        """Return the number of keys in memory."""
        return len(self._busy_until)
