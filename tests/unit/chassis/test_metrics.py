"""Every metric is declared, and each of them follows the rules of Prometheus."""

import re

import pytest

from docs.generate.metrics import CATALOGUE
from services.chassis.kafka.lane import LaneMetrics
from services.chassis.metrics import (
    LABELS,
    Metrics,
    MetricSpec,
    PrometheusLaneMetrics,
    UnknownMetric,
)
from services.chassis.metrics_catalogue import counter

_UNITS = ("_seconds", "_records", "_ratio", "_bytes")


@pytest.mark.parametrize("spec", CATALOGUE, ids=lambda spec: spec.name)
def test_a_metric_follows_the_rules(spec: MetricSpec) -> None:
    """Prometheus's naming, labels of the closed list, buckets only for histograms and in order."""
    assert re.fullmatch(r"chapar_[a-z][a-z0-9_]*", spec.name)
    assert spec.name.endswith("_total") == (spec.kind == "counter")
    assert set(spec.labels) <= LABELS
    assert spec.help.endswith(".")
    assert "|" not in spec.help
    if spec.kind == "histogram":
        assert spec.name.endswith(_UNITS)
        assert list(spec.buckets) == sorted(set(spec.buckets))
    else:
        assert spec.buckets == ()


def test_names_are_unique_and_no_label_identifies_a_person() -> None:
    """Each label value is a series for ever."""
    assert len({spec.name for spec in CATALOGUE}) == len(CATALOGUE)
    assert not LABELS & {"agent", "tenant", "customer", "person", "conversation", "interaction", "phone", "instance"}


def test_every_metric_can_be_made_and_scraped() -> None:
    """In one separate registry, without `_created`."""
    metrics = Metrics(CATALOGUE)
    for spec in CATALOGUE:
        if spec.kind == "gauge" and spec.by_tenant:
            metrics.combined(spec.name).set("t", *("x" for _ in spec.labels), to=1)
            continue
        family = getattr(metrics, spec.kind)(spec.name)
        family.labels(*("t" for _ in range(spec.by_tenant)), *("x" for _ in spec.labels))
    text = metrics.render().decode()
    assert all(f"# TYPE {spec.name.removesuffix('_total')}" in text for spec in CATALOGUE)
    assert "_created" not in text
    assert Metrics(CATALOGUE).value("chapar_ready") is None


def test_an_unknown_name_kind_or_label_raises() -> None:
    """A misspelt name, kind or label must not become a silent series."""
    metrics = Metrics(CATALOGUE)
    with pytest.raises(UnknownMetric, match="declare it"):
        metrics.counter("chapar_typo_total")
    with pytest.raises(UnknownMetric, match="is a gauge"):
        metrics.counter("chapar_ready")
    with pytest.raises(UnknownMetric, match="labels"):
        metrics.gauge("chapar_router_agents").labels()
    with pytest.raises(UnknownMetric, match="labels"):
        metrics.gauge("chapar_router_agents").labels(agent="a-1")
    with pytest.raises(UnknownMetric):
        metrics.value("chapar_typo")


def test_a_process_has_the_metrics_of_the_chassis_and_those_that_are_declared() -> None:
    """Declared twice is declared once; declared in two ways is a mistake."""
    metrics = Metrics()
    with pytest.raises(UnknownMetric):
        metrics.counter("chapar_parcels_total")
    metrics.declare([counter("chapar_parcels_total", "kind", "Parcels.")])
    metrics.declare([counter("chapar_parcels_total", "kind", "Parcels.")])
    metrics.counter("chapar_parcels_total").labels("small").inc()
    assert metrics.value("chapar_parcels_total", "small") == 1
    with pytest.raises(ValueError, match="two ways"):
        metrics.declare([counter("chapar_parcels_total", "reason", "Parcels.")])


def test_children_are_cached_and_named_or_ordered() -> None:
    """`labels()` of the library costs three times as much as a cached child."""
    family = Metrics(CATALOGUE).counter("chapar_router_offers_total")
    assert family.labels("t", "billing", "accepted") is family.labels(outcome="accepted", queue="billing", tenant="t")


def test_a_label_with_too_many_values_loses_detail_and_not_the_scrape() -> None:
    """After the most series, further ones become `other`."""
    metrics = Metrics(CATALOGUE, most_series=2000)
    for number in range(2500):
        metrics.combined("chapar_router_waiting").set("t", f"q{number}", to=1)
    assert metrics.value("chapar_router_waiting", "q1999") == 1
    assert metrics.value("chapar_router_waiting", "q2400") is None
    assert metrics.value("chapar_router_waiting", "other") == 500


def test_the_buckets_of_histograms_count() -> None:
    """300 queues on four channels had 72,000 series of durations in each process of sla."""
    metrics = Metrics(CATALOGUE)
    durations = [spec for spec in CATALOGUE if spec.kind == "histogram" and spec.labels == ("queue", "channel")]
    assert len(durations) == 4
    for spec in durations:
        for queue in range(300):
            for channel in ("webchat", "telegram", "email", "voice"):
                metrics.histogram(spec.name).labels("t", f"q{queue}", channel).observe(1)
        assert 800 < (metrics.value(spec.name, "other", "other") or 0) < 1200, "nothing is lost but the detail"
    rows = [row for row in metrics.render().splitlines() if not row.startswith(b"#")]
    assert 15_000 < len(rows) < 17_000


def test_a_lanes_events_reach_their_metrics() -> None:
    """Every event of the lane's contract reaches its metric; a lost partition's gauges are removed."""
    metrics = Metrics(CATALOGUE)
    lane: LaneMetrics = PrometheusLaneMetrics(metrics)
    value = metrics.value
    lane.rebalanced("router", 2)
    lane.restore_progress("router", 1, 25, 100)
    assert value("chapar_lane_restore_ratio", "router", "1") == 0.25
    lane.restore_progress("router", 1, 0, 0)
    assert value("chapar_lane_restore_ratio", "router", "1") == 1
    lane.restored("router", 1, 10, 0.5)
    lane.lag("router", 1, 7, 1.5)
    lane.oldest_uncommitted("router", 1, 0.25)
    lane.batch("router", 1, 5)
    lane.committed("router", 1, 5, 0.004)
    lane.aborted("router", 1, "transaction")
    lane.fenced("router", 1)
    lane.dead_letter("router", 1, "BAD_BYTES")
    assert value("chapar_lane_partitions", "router") == 2
    assert value("chapar_lane_rebalances_total", "router") == 1
    assert value("chapar_lane_restored_entries_total", "router") == 10
    assert value("chapar_lane_restore_seconds", "router") == 1
    assert value("chapar_lane_lag_records", "router", "1") == 7
    assert value("chapar_lane_lag_seconds", "router", "1") == 1.5
    assert value("chapar_lane_oldest_uncommitted_seconds", "router", "1") == 0.25
    assert value("chapar_lane_batch_records", "router") == 1
    assert value("chapar_lane_committed_records_total", "router") == 5
    assert value("chapar_lane_commit_seconds", "router") == 1
    assert value("chapar_lane_aborts_total", "router", "transaction") == 1
    assert value("chapar_lane_fences_total", "router") == 1
    assert value("chapar_lane_dead_letters_total", "router", "BAD_BYTES") == 1
    lane.input_partitions("router", 4)
    assert value("chapar_lane_input_partitions", "router") == 4
    lane.refused("router", 1, "INPUT_TAIL_LOST")
    lane.refused("router", 1, "CHANGELOG_LOST")
    assert value("chapar_lane_refused", "router", "1", "CHANGELOG_LOST") == 1
    assert value("chapar_lane_refused", "router", "1", "INPUT_TAIL_LOST") is None
    lane.lost("router", 1)
    assert value("chapar_lane_refused", "router", "1", "CHANGELOG_LOST") is None
    assert value("chapar_lane_lag_records", "router", "1") is None
    assert value("chapar_lane_partitions", "router") == 1
    assert value("chapar_lane_committed_records_total", "router") == 5
