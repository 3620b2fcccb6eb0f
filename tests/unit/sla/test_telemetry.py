"""The metrics that operators see, and the form of the router's address."""

from dataclasses import replace

import pytest

from services.chassis.clock import ManualClock
from services.chassis.metrics import Metrics
from services.policy.model.sla import Target
from services.sla.adapters.telemetry import Telemetry
from services.sla.domain.analytics import Analytics, Noted
from services.sla.domain.facts import OccurrenceKind, RoutingFactKind
from services.sla.lanes.deadlines import DeadlineProcessor
from services.sla.metrics import METRICS
from tests.unit.sla.builders import MINUTE, T0, Watched, a_fact


def test_committed_occurrences_are_counted_and_held_deadlines_are_shown() -> None:
    """Armed, warned, breached, kept, by target and queue; lateness of milestones that the clock decided; open
    deadlines and overdue timers."""
    metrics, clock = Metrics(METRICS), ManualClock(T0)
    telemetry = Telemetry(metrics, clock)
    watched = Watched()
    processor = DeadlineProcessor(watched.tracked, 50, dict, telemetry.committed)
    telemetry.owned(0, processor)
    watched.happens(RoutingFactKind.QUEUED)
    watched.clock(T0 + 10 * MINUTE)
    watched.happens(RoutingFactKind.ASSIGNED, T0 + 11 * MINUTE)
    telemetry.committed(watched.reported)
    telemetry.look()
    assert metrics.value("chapar_sla_deadlines_armed_total", "PICK_UP", "ADEQUATE") == 1
    assert metrics.value("chapar_sla_breaches_total", "PICK_UP", "DESIRED", "sales") == 1
    assert metrics.value("chapar_sla_breaches_total", "PICK_UP", "ADEQUATE", "sales") == 0, "no outcome is absent"
    assert metrics.value("chapar_sla_corrections_total", "PICK_UP", "DESIRED", "sales") == 0
    assert metrics.value("chapar_sla_met_total", "PICK_UP", "ADEQUATE", "sales") == 1
    assert metrics.value("chapar_sla_fired_lateness_seconds", "RESOLUTION") == 1
    assert metrics.value("chapar_sla_deadlines_open", "RESOLUTION") == 1
    assert metrics.value("chapar_sla_timers_past_due") == 0
    clock.advance(30 * MINUTE)
    telemetry.look()
    assert metrics.value("chapar_sla_timers_past_due") == 2, "first response and resolution wait for a paused clock"
    telemetry.lost(0)
    telemetry.look()
    assert metrics.value("chapar_sla_timers_past_due") == 0


def test_forecasts_and_durations_are_shown() -> None:
    """The number of forecast deadlines, the number likely to be breached, and the quality of forecasts beside their
    base rate; durations by queue and channel."""
    metrics = Metrics(METRICS)
    telemetry = Telemetry(metrics, ManualClock(T0))
    watched = Watched()
    processor = DeadlineProcessor(watched.tracked, 50, dict, telemetry.committed, measured=telemetry.measured)
    telemetry.owned(0, processor)
    found = watched.engine.handle(a_fact(RoutingFactKind.QUEUED), watched.policies, T0)
    processor.analytics.observe(a_fact(RoutingFactKind.QUEUED), found, T0)
    telemetry.look()
    assert metrics.value("chapar_sla_forecast_open", "PICK_UP", "sales") == 1
    assert metrics.value("chapar_sla_at_risk", "PICK_UP", "sales") == 0
    met = a_fact(RoutingFactKind.ASSIGNED, T0 + MINUTE, epoch=2)
    processor.analytics.observe(met, watched.engine.handle(met, (), T0 + MINUTE), T0 + MINUTE)
    telemetry.measured(processor.analytics.noted)
    telemetry.look()
    assert metrics.value("chapar_sla_forecast_open", "PICK_UP", "sales") == 0
    brier = metrics.value("chapar_sla_forecast_brier_ratio", "PICK_UP")
    assert brier is not None
    assert 0 < brier < 0.25
    assert metrics.value("chapar_sla_forecast_base_brier_ratio", "PICK_UP") == 0
    assert metrics.value("chapar_sla_pick_up_seconds", "sales", "webchat") == 1


@pytest.mark.parametrize("tenants", [False, True])
def test_two_tenants_with_a_queue_of_one_name_are_added_up_or_told_apart(tenants: bool) -> None:
    """Counts, durations and forecasts, of two lanes."""
    metrics = Metrics(METRICS, tenants=tenants)
    telemetry = Telemetry(metrics, ManualClock(T0))
    for partition, tenant in enumerate(("acme", "best")):
        watched = Watched()
        processor = DeadlineProcessor(watched.tracked, 50, dict, telemetry.committed, measured=telemetry.measured)
        telemetry.owned(partition, processor)
        queued = replace(a_fact(RoutingFactKind.QUEUED), tenant=tenant)
        found = watched.engine.handle(queued, watched.policies, T0)
        processor.analytics.observe(queued, found, T0)
        telemetry.committed([replace(found[0], kind=OccurrenceKind.WARNED, target=Target.PICK_UP)])
        telemetry.measured([Noted("pick_up", tenant, "sales", "webchat", 500)])
    telemetry.look()
    for name, *labels in (
        ("chapar_sla_forecast_open", "PICK_UP", "sales"),
        ("chapar_sla_warnings_total", "PICK_UP", "sales"),
        ("chapar_sla_pick_up_seconds", "sales", "webchat"),
    ):
        if tenants:
            assert [metrics.value(name, tenant, *labels) for tenant in ("acme", "best")] == [1, 1]
        else:
            assert metrics.value(name, *labels) == 2


def test_a_removed_target_is_no_longer_forecast() -> None:
    """A change of policies removes a deadline: its forecast is neither counted nor learned from; the same holds for
    a story that ends undecided."""
    watched = Watched()
    analytics = Analytics(watched.tracked, MINUTE)
    found = watched.engine.handle(a_fact(RoutingFactKind.QUEUED, epoch=1), watched.policies, T0)
    analytics.observe(a_fact(RoutingFactKind.QUEUED, epoch=1), found, T0)
    forecasting = analytics.forecasting
    assert (
        forecasting.followed["acme", "sales", Target.PICK_UP]
        == forecasting.followed["acme", "sales", Target.RESOLUTION]
        == 1
    )
    interaction = watched.tracked.interactions["i1"]
    interaction.deadlines = [d for d in interaction.deadlines if d.target is not Target.PICK_UP]
    gone = replace(next(o for o in found if o.target is Target.PICK_UP), kind=OccurrenceKind.CANCELLED)
    analytics.look([gone], T0 + 1)
    assert forecasting.followed["acme", "sales", Target.PICK_UP] == 0
    assert not forecasting.models["acme", Target.PICK_UP].learned
    analytics.observe(a_fact(RoutingFactKind.ABANDONED, T0 + 2, epoch=2), [], T0 + 2)
    analytics.advance(T0 + 2 * MINUTE, T0 + 2 * MINUTE)
    assert not analytics.stories
    assert not +forecasting.followed
