"""Two tenants with queues and channels of the same names: no metric shows a wrong number, with the label or without."""

import pytest

from docs.generate.metrics import CATALOGUE
from services.chassis.metrics import Metrics, MetricSpec, UnknownMetric
from services.chassis.metrics_catalogue import Combination, gauge

BY_TENANT = [spec for spec in CATALOGUE if spec.by_tenant]
GAUGES = [spec for spec in BY_TENANT if spec.kind == "gauge"]
WITHOUT_TENANT = {"chapar_edge_requests_total", "chapar_edge_refused_total", "chapar_edge_connections"}
"""An edge counts these before it knows a tenant."""
SMALL, LARGE = (0.8, 10), (0.2, 30)
"""Value and weight of two tenants."""
TOGETHER: dict[Combination, float] = {"sum": 1.0, "max": 0.8, "share": (0.8 * 10 + 0.2 * 30) / 40}


def write(metrics: Metrics, spec: MetricSpec) -> tuple[str, ...]:
    """Let two tenants write values of the same labels. Returns the labels."""
    labels = tuple("sales" for _ in spec.labels)
    for tenant, (value, weight) in {"acme": SMALL, "best": LARGE}.items():
        if spec.kind == "gauge":
            metrics.combined(spec.name).set(tenant, *labels, to=value, weight=weight)
        elif spec.kind == "counter":
            metrics.counter(spec.name).labels(tenant, *labels).inc(weight)
        else:
            for _ in range(weight):
                metrics.histogram(spec.name).labels(tenant, *labels).observe(value)
    return labels


def test_every_metric_of_a_queue_or_a_channel_is_by_tenant() -> None:
    """Exceptions are named here with their reason."""
    of_tenants = {spec.name for spec in CATALOGUE if {"queue", "pool", "channel"} & set(spec.labels)}
    assert {spec.name for spec in BY_TENANT} == of_tenants - WITHOUT_TENANT
    assert len(BY_TENANT) > 30
    assert not any("tenant" in spec.labels for spec in CATALOGUE), "only the setting adds it"


@pytest.mark.parametrize("spec", BY_TENANT, ids=lambda spec: spec.name)
def test_without_the_label_tenants_are_combined(spec: MetricSpec) -> None:
    """Counts are added up, the highest age is shown, and shares are weighted: never the last value that was written."""
    metrics = Metrics(CATALOGUE)
    labels = write(metrics, spec)
    expected = TOGETHER[spec.combination] if spec.kind == "gauge" else 40
    assert metrics.value(spec.name, *labels) == pytest.approx(expected)
    assert b"tenant=" not in metrics.render()


@pytest.mark.parametrize("spec", BY_TENANT, ids=lambda spec: spec.name)
def test_with_the_label_each_tenant_has_its_own_series(spec: MetricSpec) -> None:
    """The values are those that the tenant has set."""
    metrics = Metrics(CATALOGUE, tenants=True)
    labels = write(metrics, spec)
    for tenant, (value, weight) in {"acme": SMALL, "best": LARGE}.items():
        assert metrics.value(spec.name, tenant, *labels) == (value if spec.kind == "gauge" else weight)


@pytest.mark.parametrize("spec", GAUGES, ids=lambda spec: spec.name)
def test_a_gauge_is_combined_as_its_name_says(spec: MetricSpec) -> None:
    """An age is the highest one, a ratio is weighted, and everything else is a count."""
    by_unit: dict[str, Combination] = {"seconds": "max", "ratio": "share"}
    assert spec.combination == by_unit.get(spec.name.rpartition("_")[2], "sum")


@pytest.mark.parametrize("tenants", [False, True])
def test_no_label_set_is_lost_or_counted_twice_in_the_series_of_others(tenants: bool) -> None:
    """The bound holds with the label too, and `other` is the sum of those that share it, also after some are removed."""
    metrics = Metrics(CATALOGUE, most_series=100, tenants=tenants)
    waiting, others = metrics.combined("chapar_router_waiting"), ("other",) * (1 + tenants)
    for number in range(150):
        waiting.set("acme", f"q{number}", to=2)
    assert metrics.value("chapar_router_waiting", *others) == 100
    waiting.remove("acme", "q0")
    waiting.remove("acme", "q149")
    waiting.set("acme", "q148", to=5)
    assert metrics.value("chapar_router_waiting", *others) == 48 * 2 + 5, (
        "q148 stays here, though there is room elsewhere"
    )
    for number in range(150):
        waiting.remove("acme", f"q{number}")
    assert b"chapar_router_waiting{" not in metrics.render()


def test_a_series_ends_with_its_last_tenant() -> None:
    """A tenant that is removed takes its part with it, and nothing else. A second removal is not an error."""
    metrics = Metrics(CATALOGUE)
    oldest = metrics.combined("chapar_router_oldest_waiting_seconds")
    oldest.set("acme", "sales", to=70)
    oldest.set("best", "sales", to=10)
    oldest.remove("acme", "sales")
    oldest.remove("acme", "sales")
    assert metrics.value("chapar_router_oldest_waiting_seconds", "sales") == 10
    oldest.remove("best", "sales")
    assert metrics.value("chapar_router_oldest_waiting_seconds", "sales") is None
    oldest.set("best", "sales", to=20)
    assert metrics.value("chapar_router_oldest_waiting_seconds", "sales") == 20


def test_changes_of_several_tenants_are_added() -> None:
    """For gauges that count what begins and ends. A share of nothing is 0."""
    metrics = Metrics([*CATALOGUE, gauge("chapar_parcels_ratio", "queue", "Parcels.", "share")])
    waiting = metrics.combined("chapar_sender_waiting")
    waiting.add("acme", "sms", by=1)
    waiting.add("best", "sms", by=1)
    waiting.add("best", "sms", by=1)
    waiting.add("acme", "sms", by=-1)
    assert metrics.value("chapar_sender_waiting", "sms") == 2
    metrics.combined("chapar_parcels_ratio").set("acme", "sales", to=0.5, weight=0)
    assert metrics.value("chapar_parcels_ratio", "sales") == 0


def test_a_gauge_that_tenants_set_cannot_be_set_for_all_of_them() -> None:
    """So no code can write the last value. The tenant cannot be left out either."""
    metrics = Metrics(CATALOGUE)
    with pytest.raises(UnknownMetric, match="combined"):
        metrics.gauge("chapar_router_waiting")
    with pytest.raises(UnknownMetric, match="use `gauge`"):
        metrics.combined("chapar_router_agents")
    with pytest.raises(UnknownMetric, match="2 labels"):
        metrics.combined("chapar_router_waiting").set("sales", to=1)
    for _ in range(2):  # a child in the cache must not hide it
        with pytest.raises(UnknownMetric, match="2 labels"):
            metrics.counter("chapar_router_offered_total").labels("sales")
        metrics.counter("chapar_router_offered_total").labels("acme", "sales")
