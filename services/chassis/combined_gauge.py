"""A gauge that several tenants set: one series shows the values of all of them that have its labels.

For example, two tenants have a queue `sales`, with 3 and 4 waiting interactions, the oldest of 10 s and of 70 s. Without
the label `tenant`, `chapar_router_waiting{queue="sales"}` is 7 and `chapar_router_oldest_waiting_seconds` is 70.

`sum` adds counts, `max` shows the highest age, and `share` is the mean weighted by what each share is computed from:
numerators and denominators are added before the division. A gauge is never the value that was written last. The same
holds for the label sets that share the series `other`.

The value is computed when it is scraped, which may be in another thread: it reads a copy, made in one step.
"""

from typing import assert_never

from prometheus_client import Gauge

from services.chassis.metrics_catalogue import Combination
from services.chassis.metrics_family import Family

LabelSet = tuple[str, ...]
"""The tenant and the values of the declared labels."""


class _Parts:
    """What the label sets of one series have set: value and weight of each."""

    def __init__(self, how: Combination) -> None:
        self._how = how
        self.of: dict[LabelSet, tuple[float, float]] = {}

    def value(self) -> float:
        """Return the series' value."""
        parts = list(self.of.values())
        match self._how:
            case "sum":
                return sum(value for value, _ in parts)
            case "max":
                return max((value for value, _ in parts), default=0.0)
            case "share":
                whole = sum(weight for _, weight in parts)
                return sum(value * weight for value, weight in parts) / whole if whole else 0.0
            case _ as never:
                assert_never(never)


class CombinedGauge:
    """A gauge by tenant. Not concurrent, except for scrapes."""

    def __init__(self, family: Family[Gauge], how: Combination) -> None:
        self._family = family
        self._how: Combination = how
        self._placed: dict[LabelSet, LabelSet] = {}
        self._series: dict[LabelSet, _Parts] = {}

    def set(self, tenant: str, *labels: str, to: float, weight: float = 1.0) -> None:
        """Set the value of a label set of this tenant. `weight`: of a share, the number that it is computed from."""
        who = (tenant, *labels)
        self._parts(who).of[who] = (to, weight)

    def add(self, tenant: str, *labels: str, by: float) -> None:
        """Change the value of a label set of this tenant, which is 0 at first."""
        who = (tenant, *labels)
        parts = self._parts(who).of
        parts[who] = (parts.get(who, (0.0, 1.0))[0] + by, 1.0)

    def remove(self, tenant: str, *labels: str) -> None:
        """Remove the value of a label set of this tenant; the series ends with the last one. Unknown ones are not an error."""
        who = (tenant, *labels)
        shown = self._placed.pop(who, None)
        if shown is None:
            return
        parts = self._series[shown]
        del parts.of[who]
        if not parts.of:
            del self._series[shown]
            self._family.remove(*shown)

    def _parts(self, who: LabelSet) -> _Parts:
        shown = self._placed.get(who)
        if shown is None:
            # A label set stays in its series, even when another one becomes free: it must not be counted in two.
            shown = self._placed[who] = self._family.series(*who)
        parts = self._series.get(shown)
        if parts is None:
            parts = self._series[shown] = _Parts(self._how)
            self._family.child(shown).set_function(parts.value)
        return parts
