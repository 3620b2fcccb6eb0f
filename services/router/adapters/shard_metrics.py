"""What the shard counts. Called for every effect, while the batch may still be thrown away: a counter may so be ahead by a batch."""

from services.chassis.metrics import Metrics
from services.router.domain import effects as fx
from services.router.domain.model import OfferEnd

_ENDS = {OfferEnd.DECLINED: "declined", OfferEnd.EXPIRED: "expired", OfferEnd.REVOKED: "revoked"}


class ShardMetrics:
    """Counters of decisions."""

    def __init__(self, metrics: Metrics) -> None:
        self._commands = metrics.counter("chapar_router_commands_total")
        self._offers = metrics.counter("chapar_router_offers_total")
        self._offered = metrics.counter("chapar_router_offered_total")
        self._unroutable = metrics.counter("chapar_router_unroutable_total")
        self._assignment = metrics.histogram("chapar_router_assignment_seconds")
        self._handling = metrics.histogram("chapar_router_handling_seconds")
        self._completed = metrics.counter("chapar_router_completed_total")
        self._abandoned = metrics.counter("chapar_router_abandoned_total")
        self._transferred = metrics.counter("chapar_router_transferred_total")

    def note(self, effect: fx.Effect) -> None:
        """Count one effect."""
        match effect:
            case fx.Result():
                self._commands.labels(effect.kind, effect.reason).inc()
            case fx.Offered():
                self._offered.labels(effect.facts.queue).inc()
            case fx.Assigned():
                self._offers.labels(effect.facts.queue, "accepted").inc()
                self._assignment.labels(effect.facts.queue).observe(effect.waited_ms / 1000)
            case fx.OfferEnded():
                self._offers.labels(effect.facts.queue, _ENDS[effect.end]).inc()
            case fx.Completed():
                self._completed.labels(effect.facts.queue, effect.facts.channel).inc()
            case fx.Abandoned():
                self._abandoned.labels(effect.facts.queue, effect.facts.channel).inc()
            case fx.Transferred():
                self._transferred.labels(effect.facts.queue, effect.reason).inc()
            case fx.Queued(reason="UNKNOWN_QUEUE" | "NO_CONFIGURATION"):
                self._unroutable.labels(effect.facts.queue, effect.reason).inc()
            case _:
                pass
