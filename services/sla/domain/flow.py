"""Contact volume, durations and repeat contacts: the measures that need no SLA policy.

Events are counted by half hours of UTC (the finest that operators' zones need: Iran's day begins at 20:30 UTC), by the queue and channel
at that time, and at the time that the router reports for the event. Durations are wall-clock time.

    contacts       interactions queued for the first time
    pick-up        from the first queueing to the first assignment            mean: ASA
    first response from the customer's first message to the first agent's reply   AFRT
    response       from the first unanswered customer message to the next agent's reply, first responses included   ART
    resolution     from the customer's first message to completion

Durations are kept as count, sum and a histogram of fixed buckets, eight to an octave: merging is exact, and a quantile is off by at most
one part in sixteen.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import sqrt
from typing import Final, NamedTuple

from services.sla.domain.measures import Z_95

_PARTS: Final = 8
_BITS: Final = 3


class FlowKey(NamedTuple):
    """Key of a count. `day` counts from 1970-01-01; `slot` is a half hour of the day, 0 to 47, or WHOLE_DAY."""

    tenant: str
    day: int
    slot: int
    queue: str
    channel: str


def bucket_of(ms: int) -> int:
    """Return the histogram bucket of a duration: exact below 8 ms, then eight buckets to an octave."""
    if ms < _PARTS:
        return max(0, ms)
    octave = ms.bit_length() - 1 - _BITS
    return (octave + 1) * _PARTS + (ms >> octave) - _PARTS


def middle_of(bucket: int) -> float:
    """Return the duration that represents a bucket."""
    if bucket < _PARTS:
        return float(bucket)
    octave = bucket // _PARTS - 1
    return ((bucket % _PARTS + _PARTS) << octave) + ((1 << octave) - 1) / 2


@dataclass(slots=True)
class Times:
    """Sum, count and histogram of durations in milliseconds."""

    n: int = 0
    sum_ms: int = 0
    squares: float = 0.0
    """Sum of squares, in s²: for the confidence interval of the mean."""
    buckets: dict[int, int] = field(default_factory=dict)

    def note(self, ms: int) -> None:
        """Add one duration."""
        ms = max(0, ms)
        self.n += 1
        self.sum_ms += ms
        self.squares += (ms / 1000) ** 2
        bucket = bucket_of(ms)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def add(self, other: "Times") -> None:
        """Add all durations of another instance."""
        self.n += other.n
        self.sum_ms += other.sum_ms
        self.squares += other.squares
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def mean_ms(self) -> tuple[float, float, float]:
        """Return the mean with its 95 % interval by the normal approximation; zeros without observations."""
        if not self.n:
            return 0.0, 0.0, 0.0
        mean = self.sum_ms / self.n
        if self.n < 2:
            return mean, mean, mean
        variance = max(0.0, self.squares * 1e6 - self.n * mean * mean) / (self.n - 1)
        half = Z_95 * sqrt(variance / self.n)
        return mean, max(0.0, mean - half), mean + half

    def quantile_ms(self, share: float) -> float:
        """Return the duration within which this share of the observations lies; 0 without observations."""
        wanted, seen = share * self.n, 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return middle_of(bucket)
        return 0.0


@dataclass(slots=True)
class Flow:
    """What happened in one queue and channel during one period."""

    contacts: int = 0
    completed: int = 0
    abandoned: int = 0
    cancelled: int = 0
    pick_up: Times = field(default_factory=Times)
    first_response: Times = field(default_factory=Times)
    response: Times = field(default_factory=Times)
    resolution: Times = field(default_factory=Times)

    def add(self, other: "Flow") -> None:
        """Add all counts of another instance."""
        self.contacts += other.contacts
        self.completed += other.completed
        self.abandoned += other.abandoned
        self.cancelled += other.cancelled
        self.pick_up.add(other.pick_up)
        self.first_response.add(other.first_response)
        self.response.add(other.response)
        self.resolution.add(other.resolution)


def together(flows: Iterable[Flow]) -> Flow:
    """Return the sum of all flows."""
    total = Flow()
    for flow in flows:
        total.add(flow)
    return total


@dataclass(frozen=True, slots=True)
class Contact:
    """A customer contacted us. `who` is a digest: the same for the same person (or for the same conversation, if no
    person is known)."""

    interaction_id: str
    tenant: str
    who: int
    at_ms: int
    queue: str
    channel: str


def repeats(contacts: Iterable[Contact], since_ms: int, until_ms: int, window_ms: int) -> dict[str, bool]:
    """Return, by interaction, whether each contact begun in [since, until) came less than a window after the same
    person's previous contact."""
    last: dict[tuple[str, int], int] = {}
    found: dict[str, bool] = {}
    for contact in sorted(contacts, key=lambda c: (c.at_ms, c.interaction_id)):
        before = last.get((contact.tenant, contact.who))
        if since_ms <= contact.at_ms < until_ms:
            found[contact.interaction_id] = before is not None and contact.at_ms - before < window_ms
        last[contact.tenant, contact.who] = contact.at_ms
    return found
