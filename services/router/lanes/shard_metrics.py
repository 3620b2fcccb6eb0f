"""Counts of the shard: the processor collects them while it decides, and they are added to the metrics when the batch is durable.

When a batch is discarded, its processor and the counts of the batch are discarded with it: nothing is counted twice.
"""

from collections.abc import Callable
from typing import Any, Final

from services.chassis.metrics import Metrics
from services.router.domain import effects as fx
from services.router.domain.model import OfferEnd
from services.router.domain.reasons import Reason

_ENDS: Final = {OfferEnd.DECLINED: "declined", OfferEnd.EXPIRED: "expired", OfferEnd.REVOKED: "revoked"}

Series = tuple[str, ...]
"""Name of a metric and the values of its labels; of a metric by tenant, the tenant is the first one."""


class Tally:
    """The counts of one processor since the last batch that was closed."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts: dict[Series, int] = {}
        self.seconds: list[tuple[Series, float]] = []

    def note(self, tenant: str, effect: fx.Effect) -> None:
        """Count one effect."""
        look = _LOOK.get(type(effect))
        if look is not None:
            series = look(tenant, effect)
            if series:
                self._count(series)
        if type(effect) is fx.Assigned:
            self._assigned(tenant, effect)
        elif type(effect) is fx.Result and effect.reason and not effect.repeated:
            self._count(("chapar_router_refusals_total", effect.kind, effect.reason))

    def _assigned(self, tenant: str, effect: fx.Assigned) -> None:
        queue, waited_ms = effect.attributes.queue, effect.waited_ms
        self.seconds.append((("chapar_router_assignment_seconds", tenant, queue), waited_ms / 1000))
        if effect.over_capacity:
            self._count(("chapar_router_over_capacity_total", tenant, queue))
        if effect.estimated_p50_ms >= 0:
            error = abs(waited_ms - effect.estimated_p50_ms) / 1000
            self.seconds.append((("chapar_router_estimate_error_seconds", tenant, queue), error))
            within = "true" if waited_ms <= effect.estimated_p90_ms else "false"
            self._count(("chapar_router_estimates_total", tenant, queue, within))

    def _count(self, series: Series) -> None:
        self.counts[series] = self.counts.get(series, 0) + 1

    def decided(self, kind: str, seconds: float) -> None:
        """Record how long the engine took for one command."""
        self.seconds.append((("chapar_router_decision_seconds", kind), seconds))

    def handled(self, tenant: str, queue: str, seconds: float) -> None:
        """Record how long an agent held an interaction that is now completed."""
        self.seconds.append((("chapar_router_handling_seconds", tenant, queue), seconds))


def _queued(tenant: str, effect: fx.Queued) -> Series:
    odd = effect.reason in (Reason.UNKNOWN_QUEUE, Reason.NO_CONFIGURATION)
    return ("chapar_router_unroutable_total", tenant, effect.attributes.queue, effect.reason) if odd else ()


def _accepted(tenant: str, effect: fx.Assigned) -> Series:
    # An interaction that was picked, or assigned by a supervisor, had no offer to accept.
    return ("chapar_router_offers_total", tenant, effect.attributes.queue, "accepted") if effect.offer_id else ()


def _cancelled(tenant: str, effect: fx.Cancelled) -> Series:
    # A rule that cancels an interaction emits only this event.
    return (
        ("chapar_router_overflowed_total", tenant, effect.attributes.queue, "CANCELLED")
        if effect.reason == "OVERFLOW"
        else ()
    )


_LOOK: Final[dict[type, Callable[[str, Any], Series]]] = {
    fx.Result: lambda _, e: ("chapar_router_commands_total", e.kind, e.reason),
    fx.Offered: lambda t, e: ("chapar_router_offered_total", t, e.attributes.queue),
    fx.Assigned: _accepted,
    fx.OfferEnded: lambda t, e: ("chapar_router_offers_total", t, e.attributes.queue, _ENDS[e.end]),
    fx.Completed: lambda t, e: ("chapar_router_completed_total", t, e.attributes.queue, e.attributes.channel),
    fx.Abandoned: lambda t, e: ("chapar_router_abandoned_total", t, e.attributes.queue, e.attributes.channel),
    fx.Transferred: lambda t, e: ("chapar_router_transferred_total", t, e.attributes.queue, e.reason),
    fx.Queued: _queued,
    fx.Scheduled: lambda t, e: ("chapar_router_scheduled_total", t, e.attributes.queue),
    fx.Overflowed: lambda t, e: ("chapar_router_overflowed_total", t, e.from_queue, e.reason),
    fx.Cancelled: _cancelled,
    fx.Parked: lambda t, e: ("chapar_router_parked_total", t, e.attributes.queue, e.attributes.channel),
}


class ShardMetrics:
    """Adds tallies to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def add(self, tally: Tally) -> None:
        """Add the tally of a batch that is durable."""
        for series, count in tally.counts.items():
            self._metrics.counter(series[0]).labels(*series[1:]).inc(count)
        for series, seconds in tally.seconds:
            self._metrics.histogram(series[0]).labels(*series[1:]).observe(seconds)
