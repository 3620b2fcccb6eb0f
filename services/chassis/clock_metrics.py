"""The clock of a service, with its metrics and log lines."""

from services.chassis.bounded_clock import BoundedClock, Refused
from services.chassis.clock import Clock
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics

_REFUSED = {
    "machine": frozenset({Refused.MACHINE, Refused.BOTH}),
    "broker": frozenset({Refused.BROKER, Refused.BOTH}),
}


def watched_clock(machine: Clock, bound_ms: int, metrics: Metrics) -> BoundedClock:
    """Return the machine's clock within a bound. A clock that is refused is logged, and shown by metrics."""
    gauge, counter = metrics.gauge("chapar_clock_refused"), metrics.counter("chapar_clock_refusals_total")
    log = get_logger(__name__)

    def show(refused: Refused, before: Refused, lead_ms: float) -> None:
        for clock, states in _REFUSED.items():
            gauge.labels(clock).set(refused in states)
            if refused in states and before not in states:
                counter.labels(clock).inc()
        if refused is Refused.NONE:
            log.info("the clocks agree again")
        else:
            log.error("a clock is wrong and is refused", clock=refused.value, machine_ahead_ms=round(lead_ms))

    for clock in _REFUSED:
        gauge.labels(clock).set(0)
        counter.labels(clock).inc(0)
    return BoundedClock(machine, bound_ms=bound_ms, on_refused=show)
