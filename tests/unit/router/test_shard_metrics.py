"""Metrics that the shard counts from the engine's effects."""

import pytest

from services.chassis.metrics import Metrics
from services.router.domain import effects as fx
from services.router.domain.model import InteractionAttributes, OfferEnd
from services.router.lanes.shard_metrics import ShardMetrics, Tally
from services.router.metrics import METRICS

FACTS = InteractionAttributes("i", "c", channel="voice", queue="q")


def counted(*effects: fx.Effect) -> Metrics:
    """Return the metrics after a batch with these effects."""
    tally, metrics = Tally(), Metrics(METRICS)
    for effect in effects:
        tally.note("acme", effect)
    ShardMetrics(metrics).add(tally)
    return metrics


def assigned(waited_ms: int, p50_ms: int, p90_ms: int, *, offer_id: str = "o", over: bool = False) -> fx.Assigned:
    """Return an assignment after a wait, with the estimates that were announced for it."""
    return fx.Assigned(FACTS, 1, "r", "a", offer_id, waited_ms, p50_ms, p90_ms, over)


@pytest.mark.parametrize(
    ("waited", "p50", "p90", "within", "error"),
    [
        (9_000, 7_000, 9_000, "true", 2.0),
        (9_001, 9_500, 9_000, "false", 0.499),
        (0, 0, 0, "true", 0.0),
        (500, 60_000, 90_000, "true", 59.5),
    ],
)
def test_each_assignment_is_compared_with_its_announced_estimate(
    waited: int, p50: int, p90: int, within: str, error: float
) -> None:
    """The error is the absolute difference from the median, in seconds; the ninth decile includes itself."""
    metrics = counted(assigned(waited, p50, p90))
    other = "false" if within == "true" else "true"
    assert metrics.value("chapar_router_estimates_total", "q", within) == 1
    assert metrics.value("chapar_router_estimates_total", "q", other) is None
    assert f'chapar_router_estimate_error_seconds_sum{{queue="q"}} {error}' in metrics.render().decode()


def test_all_counts_of_a_queue_belong_to_its_tenant() -> None:
    """Each metric of the router by tenant, and none for another tenant."""
    metrics, tally = Metrics(METRICS, tenants=True), Tally()
    for effect in (
        assigned(9_000, 7_000, 9_000, over=True),
        fx.Offered(FACTS, 1, "", "a", "o", 5, 1, 1),
        fx.OfferEnded(FACTS, 1, "", "a", "o", OfferEnd.EXPIRED),
        fx.Completed(FACTS, 1, "", "a", "", 0, 0),
        fx.Abandoned(FACTS, 1, "", 5),
        fx.Transferred(FACTS, 1, "TRANSFERRED", "a", "p", ""),
        fx.Queued(FACTS, 1, "UNKNOWN_QUEUE", 1, -1, False),
        fx.Scheduled(FACTS, 1, "r", 5),
        fx.Overflowed(FACTS, 1, "LENGTH", "q", "too many"),
        fx.Parked(FACTS, 1, "r", "a", "call"),
    ):
        tally.note("acme", effect)
    tally.handled("acme", "q", 2.0)
    ShardMetrics(metrics).add(tally)
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    assert {sample.labels["tenant"] for sample in samples} == {"acme"}
    assert {sample.labels["queue"] for sample in samples} == {"q"}
    counted = {spec.name for spec in METRICS if spec.by_tenant and spec.kind != "gauge"}
    assert counted <= {sample.name.removesuffix("_count") for sample in samples}


def test_without_an_announced_estimate_nothing_is_compared() -> None:
    """The first customer of a queue without a history is not an error of any estimate."""
    metrics = counted(assigned(9_000, -1, -1))
    assert metrics.value("chapar_router_estimates_total", "q", "true") is None
    assert metrics.value("chapar_router_estimates_total", "q", "false") is None


def test_only_offers_are_accepted() -> None:
    """An interaction that was picked or assigned had no offer; assignments over capacity are counted separately."""
    metrics = counted(assigned(0, -1, -1), assigned(0, -1, -1, offer_id="", over=True))
    assert metrics.value("chapar_router_offers_total", "q", "accepted") == 1
    assert metrics.value("chapar_router_over_capacity_total", "q") == 1


def test_a_refusal_is_counted_once_by_command_and_reason() -> None:
    """A repetition has the same result and is not another refusal; a command that was carried out is none."""
    refused = fx.Result("k", None, False, "STALE_EPOCH", "reroute")
    repeated = fx.Result("k", None, False, "STALE_EPOCH", "reroute", True)
    metrics = counted(refused, repeated, fx.Result("l", None, True, "", "reroute"))
    assert metrics.value("chapar_router_refusals_total", "reroute", "STALE_EPOCH") == 1
    assert metrics.value("chapar_router_refusals_total", "reroute", "") is None
    assert metrics.value("chapar_router_commands_total", "reroute", "STALE_EPOCH") == 2


def test_overflow_parking_and_schedules_are_counted() -> None:
    """Overflow is counted by the queue whose rule it was; a rule that cancels counts, a supervisor who cancels does not."""
    metrics = counted(
        fx.Overflowed(FACTS, 1, "LENGTH", "left", "too many"),
        fx.Cancelled(FACTS, 2, "OVERFLOW"),
        fx.Cancelled(FACTS, 2, "SUPERVISOR"),
        fx.Parked(FACTS, 3, "r", "a", "call"),
        fx.Scheduled(FACTS, 4, "r", 5),
    )
    assert metrics.value("chapar_router_overflowed_total", "left", "LENGTH") == 1
    assert metrics.value("chapar_router_overflowed_total", "q", "CANCELLED") == 1
    assert metrics.value("chapar_router_overflowed_total", "q", "SUPERVISOR") is None
    assert metrics.value("chapar_router_parked_total", "q", "voice") == 1
    assert metrics.value("chapar_router_scheduled_total", "q") == 1
