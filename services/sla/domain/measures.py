"""Counts of decided deadlines, and the confidence of their shares.

A deadline is counted once, when it is decided: kept (desired or adequate level), breached, or abandoned by the customer
before the adequate level had passed. A breached deadline that was fulfilled late also counts as answered. An
interaction that was cancelled by order, or completed with nothing left to answer, does not count as offered and is
counted nowhere. Counts are kept by the half hour (UTC) of the decision. Days counted before half hours existed, and the
oldest days of a lane that has too many counts, are kept as whole days.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import sqrt
from typing import Final

from services.policy.model.sla import Target

Z_95: Final = 1.959963984540054
DAY_MS: Final = 86_400_000
SLOT_MS: Final = 1_800_000
"""Counts are kept by half hours: in the zones where operators work, hours begin on a half hour, except in zones at a
quarter (Nepal)."""
WHOLE_DAY: Final = -1


@dataclass(frozen=True, slots=True)
class TallyKey:
    """Key of a count. `day` counts from 1970-01-01, UTC."""

    tenant: str
    day: int
    queue: str
    channel: str
    target: Target
    slot: int = WHOLE_DAY
    """A half hour of the day, 0 to 47, or WHOLE_DAY."""


@dataclass(slots=True)
class Tally:
    """Counts of decided deadlines."""

    met_desired: int = 0
    met_adequate: int = 0
    """Kept, but only at the adequate level."""
    breached: int = 0
    late: int = 0
    """Those of the breached ones that were fulfilled later."""
    abandoned: int = 0
    """The customer left before the adequate level had passed."""

    def add(self, other: "Tally") -> None:
        """Add another tally to this one."""
        self.met_desired += other.met_desired
        self.met_adequate += other.met_adequate
        self.breached += other.breached
        self.late += other.late
        self.abandoned += other.abandoned


def roll_up(tallies: dict[TallyKey, Tally], newest_day: int) -> list[TallyKey]:
    """Merge the half hours of the oldest day that has them, unless it is the newest day, into whole days. Returns
    the keys that were touched."""
    oldest = min((key.day for key in tallies if key.slot != WHOLE_DAY), default=newest_day)
    if oldest >= newest_day:
        return []
    touched: list[TallyKey] = []
    for key in [key for key in tallies if key.day == oldest and key.slot != WHOLE_DAY]:
        whole = replace(key, slot=WHOLE_DAY)
        tallies.setdefault(whole, Tally()).add(tallies.pop(key))
        touched += (key, whole)
    return touched


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its sample size and its 95 % interval."""

    value: float
    n: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """Shares of deadlines kept, one for each denominator in use in the field."""

    over_offered: Share
    over_offered_less_short_abandons: Share
    over_answered: Share
    desired_level: Share
    adequate_level: Share
    breach_rate: Share
    breaches: int


def wilson(successes: int, n: int) -> Share:
    """Return the Wilson score interval (E. B. Wilson, 1927) of a share. Without observations, the interval is 0 to
    1."""
    if n <= 0:
        return Share(0.0, 0, 0.0, 1.0)
    p = successes / n
    z2 = Z_95 * Z_95
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Share(p, n, 0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


def service_level(tallies: Iterable[Tally]) -> ServiceLevel:
    """Return the service level over all these tallies together."""
    total = Tally()
    for tally in tallies:
        total.add(tally)
    kept = total.met_desired + total.met_adequate
    decided = kept + total.breached
    return ServiceLevel(
        over_offered=wilson(kept, decided + total.abandoned),
        over_offered_less_short_abandons=wilson(kept, decided),
        over_answered=wilson(kept, kept + total.late),
        desired_level=wilson(total.met_desired, decided),
        adequate_level=wilson(kept, decided),
        breach_rate=wilson(total.breached, decided),
        breaches=total.breached,
    )
