"""What the shard counts: gathered by the processor while it decides, added to the metrics when the batch is durable.

A batch that is thrown away has its processor thrown away with it, and with that what it had gathered: nothing is counted twice.
"""

from collections.abc import Callable
from typing import Any, Final

from services.chassis.metrics import Metrics
from services.router.domain import effects as fx
from services.router.domain.model import OfferEnd

_ENDS: Final = {OfferEnd.DECLINED: "declined", OfferEnd.EXPIRED: "expired", OfferEnd.REVOKED: "revoked"}

Series = tuple[str, ...]
"""Name of a metric and the values of its labels."""


class Tally:
    """What one processor has counted since the last batch that was closed."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts: dict[Series, int] = {}
        self.seconds: list[tuple[Series, float]] = []

    def note(self, effect: fx.Effect) -> None:
        """Count one effect."""
        look = _LOOK.get(type(effect))
        if look is not None:
            series = look(effect)
            if series:
                self.counts[series] = self.counts.get(series, 0) + 1
        if type(effect) is fx.Assigned:
            self.seconds.append((("chapar_router_assignment_seconds", effect.facts.queue), effect.waited_ms / 1000))

    def handled(self, queue: str, seconds: float) -> None:
        """How long an agent held something that is now completed."""
        self.seconds.append((("chapar_router_handling_seconds", queue), seconds))


def _queued(effect: fx.Queued) -> Series:
    odd = effect.reason in ("UNKNOWN_QUEUE", "NO_CONFIGURATION")
    return ("chapar_router_unroutable_total", effect.facts.queue, effect.reason) if odd else ()


_LOOK: Final[dict[type, Callable[[Any], Series]]] = {
    fx.Result: lambda e: ("chapar_router_commands_total", e.kind, e.reason),
    fx.Offered: lambda e: ("chapar_router_offered_total", e.facts.queue),
    fx.Assigned: lambda e: ("chapar_router_offers_total", e.facts.queue, "accepted"),
    fx.OfferEnded: lambda e: ("chapar_router_offers_total", e.facts.queue, _ENDS[e.end]),
    fx.Completed: lambda e: ("chapar_router_completed_total", e.facts.queue, e.facts.channel),
    fx.Abandoned: lambda e: ("chapar_router_abandoned_total", e.facts.queue, e.facts.channel),
    fx.Transferred: lambda e: ("chapar_router_transferred_total", e.facts.queue, e.reason),
    fx.Queued: _queued,
}


class ShardMetrics:
    """Adds tallies to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def add(self, tally: Tally) -> None:
        """A batch is durable."""
        for series, count in tally.counts.items():
            self._metrics.counter(series[0]).labels(*series[1:]).inc(count)
        for series, seconds in tally.seconds:
            self._metrics.histogram(series[0]).labels(*series[1:]).observe(seconds)
