"""Series that exist before their first event: an alert on them sees a change, and a panel shows 0."""

import pytest

from docs.generate.metrics import CATALOGUE
from services.chassis.connections import dropped_counter
from services.chassis.metrics import LABELS, Metrics, MetricSpec, PrometheusLaneMetrics

BORN = [spec for spec in CATALOGUE if spec.born]


@pytest.mark.parametrize("spec", BORN, ids=lambda spec: spec.name)
def test_a_born_series_has_a_value_for_each_label(spec: MetricSpec) -> None:
    """A wrong number of values would raise at the start of a service."""
    metrics = Metrics(CATALOGUE)
    getattr(metrics, spec.kind)(spec.name)
    assert [metrics.value(spec.name, *values) for values in spec.born] == [0.0] * len(spec.born)


def test_only_closed_sets_of_words_are_born() -> None:
    """Queues and channels are named by tenants."""
    open_sets = {"queue", "channel", "topic", "issuer", "lane", "partition", "method"}
    assert open_sets <= LABELS
    assert [spec.name for spec in BORN if open_sets & set(spec.labels)] == []


def test_a_metric_without_labels_exists_when_it_is_asked_for() -> None:
    metrics = Metrics(CATALOGUE)
    metrics.gauge("chapar_history_writable")
    assert metrics.value("chapar_history_writable") == 0


def test_a_lane_shows_its_troubles_as_soon_as_it_knows_its_input() -> None:
    metrics = Metrics(CATALOGUE)
    lane = PrometheusLaneMetrics(metrics)
    lane.input_partitions("router", 4)
    assert metrics.value("chapar_lane_fences_total", "router") == 0
    assert metrics.value("chapar_lane_aborts_total", "router", "transaction") == 0
    assert metrics.value("chapar_lane_dead_letters_total", "router", "UNDECODABLE") == 0


def test_a_listener_shows_what_it_may_refuse() -> None:
    metrics = Metrics(CATALOGUE)
    dropped_counter(metrics, "http")
    assert metrics.value("chapar_connections_dropped_total", "http", "PEER_FULL") == 0
