"""Token buckets: how often something may happen, by key, in bounded memory.

A key whose bucket is full again needs no memory. When there are too many keys, the least recently used are dropped. A
dropped key starts with a full bucket: this allows a few extra events and never blocks a legitimate caller.
"""

from collections import OrderedDict
from math import ceil

from services.chassis.pacing import Rate


class Bucket:
    """One bucket. Times in milliseconds."""

    __slots__ = ("_at_ms", "_level", "_rate")

    def __init__(self, rate: Rate, now_ms: int) -> None:
        self._rate = rate
        self._level = rate.burst
        self._at_ms = now_ms

    def take(self, now_ms: int, amount: float = 1.0) -> float:
        """Take `amount` and return 0 when allowed. Otherwise take nothing and return the seconds until it would be
        allowed."""
        if self._rate.per_s <= 0:
            return 0.0
        passed = max(0, now_ms - self._at_ms) / 1000
        self._at_ms = max(self._at_ms, now_ms)
        self._level = min(self._rate.burst, self._level + passed * self._rate.per_s)
        if self._level >= amount:
            self._level -= amount
            return 0.0
        return (amount - self._level) / self._rate.per_s


class Limiter:
    """One bucket for each key."""

    def __init__(self, rate: Rate, max_keys: int = 50_000) -> None:
        self._rate = rate
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, key: str, now_ms: int, amount: float = 1.0) -> float:
        """Return 0 when allowed, otherwise the seconds to wait."""
        if self._rate.per_s <= 0:
            return 0.0
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._max_keys:
                self._buckets.popitem(last=False)
            bucket = self._buckets[key] = Bucket(self._rate, now_ms)
        else:
            self._buckets.move_to_end(key)
        return bucket.take(now_ms, min(amount, self._rate.burst))


class Moments:
    """Reserves times in advance: each call gets a separate time, in the order of the calls.

    The same limit as `Limiter`, for callers that can wait without holding a resource.
    """

    def __init__(self, rate: Rate, max_keys: int = 50_000) -> None:
        self._rate = rate
        self._max_keys = max_keys
        self._next: OrderedDict[str, float] = OrderedDict()

    def reserve(self, key: str, now_ms: int) -> int:
        """Return the reserved time, ms; `now_ms` when no wait is needed."""
        if self._rate.per_s <= 0:
            return now_ms
        spacing = 1000 / self._rate.per_s
        due = max(self._next.get(key, 0.0), float(now_ms))
        if key not in self._next and len(self._next) >= self._max_keys:
            self._next.popitem(last=False)
        self._next[key] = due + spacing
        self._next.move_to_end(key)
        return max(now_ms, ceil(due - spacing * (self._rate.burst - 1)))
