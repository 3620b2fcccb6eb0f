"""Metrics of one process: an injected registry, declared names only, label children cached.

`labels()` costs 3 us and a cached child 0.9 us, so `Metrics` keeps children by label values. A name or a label that
was not declared raises: a misspelt metric must not become a silent series. Nothing here is a global variable.

The first label of a metric with the label `queue` or `channel` of a tenant is always the tenant: counters and histograms
add tenants up unless the label is shown, gauges combine them (`combined`).
"""

from collections.abc import Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.chassis.combined_gauge import CombinedGauge
from services.chassis.health import EVERY_PARTITION
from services.chassis.metrics_catalogue import CHASSIS_METRICS, LABELS, TENANT, MetricKind, MetricSpec
from services.chassis.metrics_family import Family, UnknownMetric
from services.chassis.reasons import Reason

__all__ = [
    "CONTENT_TYPE",
    "LABELS",
    "CombinedGauge",
    "Family",
    "MetricSpec",
    "Metrics",
    "PrometheusLaneMetrics",
    "UnknownMetric",
]

CONTENT_TYPE = CONTENT_TYPE_LATEST
MOST_SERIES: Final = 4_000
"""Most series of one metric, unless the settings say otherwise."""


class Metrics:
    """The metrics of one process: those of the chassis, and those that its service declares."""

    def __init__(
        self,
        declared: Iterable[MetricSpec] = (),
        registry: CollectorRegistry | None = None,
        most_series: int = MOST_SERIES,
        *,
        tenants: bool = False,
    ) -> None:
        """`most_series`: of one metric. `tenants`: metrics by tenant show the label `tenant`."""
        # `_created` series double a scrape and are never used; the library has a process-wide switch only.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left this one function unannotated
        self.registry = registry if registry is not None else CollectorRegistry(auto_describe=True)
        self._most_series = most_series
        self._tenants = tenants
        self._specs: dict[str, MetricSpec] = {}
        self._families: dict[str, Family[Any]] = {}
        self._combined: dict[str, CombinedGauge] = {}
        self.declare(CHASSIS_METRICS)
        self.declare(declared)

    def declare(self, specs: Iterable[MetricSpec]) -> None:
        """Add metrics that the process will have. Raises ValueError for a name that is declared in another way."""
        for spec in specs:
            if self._specs.setdefault(spec.name, spec) != spec:
                raise ValueError(f"{spec.name} is declared in two ways")

    def counter(self, name: str) -> Family[Counter]:
        """Return a declared counter."""
        return self._family(name, "counter")

    def gauge(self, name: str) -> Family[Gauge]:
        """Return a declared gauge that no tenant sets."""
        family = self._family(name, "gauge")
        if self._specs[name].by_tenant:
            raise UnknownMetric(f"several tenants set {name}: use `combined`")
        return family

    def combined(self, name: str) -> CombinedGauge:
        """Return a declared gauge that tenants set."""
        family = self._family(name, "gauge")
        spec = self._specs[name]
        if not spec.by_tenant:
            raise UnknownMetric(f"no tenant sets {name}: use `gauge`")
        gauge = self._combined.get(name)
        if gauge is None:
            gauge = self._combined[name] = CombinedGauge(family, spec.combination)
        return gauge

    def histogram(self, name: str) -> Family[Histogram]:
        """Return a declared histogram."""
        return self._family(name, "histogram")

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes. Takes about 30 us a series: call it off the event loop."""
        return generate_latest(self.registry)

    def value(self, name: str, *labels: str) -> float | None:
        """Return the value of a counter or gauge (a histogram: its count); None if never set. For tests and boards.

        `labels`: values of the labels that are shown.
        """
        spec = self._specs.get(name)
        if spec is None:
            raise UnknownMetric(f"no metric is called {name}")
        sample = f"{name}_count" if spec.kind == "histogram" else name
        return self.registry.get_sample_value(sample, dict(zip(self._shown(spec), labels, strict=True)))

    def _family(self, name: str, kind: MetricKind) -> Family[Any]:
        family = self._families.get(name)
        spec = self._specs.get(name)
        if spec is None:
            raise UnknownMetric(f"no metric is called {name}: declare it in the metrics.py of its service")
        if spec.kind != kind:
            raise UnknownMetric(f"{name} is a {spec.kind}, not a {kind}")
        if family is None:
            family = self._families[name] = Family(
                self._make(spec),
                (TENANT, *spec.labels) if spec.by_tenant else spec.labels,
                max(1, self._most_series // spec.series),
                hidden=int(spec.by_tenant and not self._tenants),
            )
            for values in spec.born or (() if spec.labels else ((),)):
                family.labels(*values)
        return family

    def _shown(self, spec: MetricSpec) -> tuple[str, ...]:
        return (TENANT, *spec.labels) if spec.by_tenant and self._tenants else spec.labels

    def _make(self, spec: MetricSpec) -> Counter | Gauge | Histogram:
        labels = self._shown(spec)
        if spec.kind == "counter":
            return Counter(spec.name, spec.help, labels, registry=self.registry)
        if spec.kind == "gauge":
            return Gauge(spec.name, spec.help, labels, registry=self.registry)
        return Histogram(spec.name, spec.help, labels, registry=self.registry, buckets=spec.buckets)


class PrometheusLaneMetrics:
    """Implements `services.chassis.kafka.lane.LaneMetrics` with the catalogue's metrics."""

    _PER_PARTITION = (
        "chapar_lane_lag_records",
        "chapar_lane_lag_seconds",
        "chapar_lane_oldest_uncommitted_seconds",
        "chapar_lane_restore_ratio",
    )

    def __init__(self, metrics: Metrics) -> None:
        gauge, counter, histogram = metrics.gauge, metrics.counter, metrics.histogram
        self._lag_records, self._lag_seconds, self._oldest, self._ratio = (gauge(n) for n in self._PER_PARTITION)
        self._partitions = gauge("chapar_lane_partitions")
        self._input_partitions = gauge("chapar_lane_input_partitions")
        self._owned: dict[str, int] = {}
        self._restore_seconds = histogram("chapar_lane_restore_seconds")
        self._restored_entries = counter("chapar_lane_restored_entries_total")
        self._batch = histogram("chapar_lane_batch_records")
        self._commit = histogram("chapar_lane_commit_seconds")
        self._committed = counter("chapar_lane_committed_records_total")
        self._rebalances = counter("chapar_lane_rebalances_total")
        self._aborts = counter("chapar_lane_aborts_total")
        self._fences = counter("chapar_lane_fences_total")
        self._dead_letters = counter("chapar_lane_dead_letters_total")
        self._refused = gauge("chapar_lane_refused")
        self._reasons: dict[tuple[str, int], str] = {}

    def lag(self, lane: str, partition: int, records: int, seconds: float) -> None:
        """Set the records not yet committed, and the age of the oldest."""
        self._lag_records.labels(lane, str(partition)).set(records)
        self._lag_seconds.labels(lane, str(partition)).set(seconds)

    def oldest_uncommitted(self, lane: str, partition: int, seconds: float) -> None:
        """Set how long the oldest handled record has been waiting for its commit."""
        self._oldest.labels(lane, str(partition)).set(seconds)

    def restore_progress(self, lane: str, partition: int, read: int, total: int) -> None:
        """Set the share of changelog offsets read."""
        self._ratio.labels(lane, str(partition)).set(1.0 if total <= 0 else min(1.0, read / total))

    def restored(self, lane: str, partition: int, entries: int, seconds: float) -> None:
        """Count a partition that is live."""
        self._ratio.labels(lane, str(partition)).set(1.0)
        self._restored_entries.labels(lane).inc(entries)
        self._restore_seconds.labels(lane).observe(seconds)

    def batch(self, lane: str, partition: int, records: int) -> None:
        """Observe the size of a batch."""
        self._batch.labels(lane).observe(records)

    def committed(self, lane: str, partition: int, records: int, seconds: float) -> None:
        """Count a durable transaction."""
        self._committed.labels(lane).inc(records)
        self._commit.labels(lane).observe(seconds)

    def unwritten(self, lane: str, partition: int, records: int) -> None:
        """Count records that were handled without a transaction."""
        self._committed.labels(lane).inc(records)

    def rebalanced(self, lane: str, partitions: int) -> None:
        """Count an assignment, and set the number of partitions."""
        self._rebalances.labels(lane).inc()
        self._show_owned(lane, partitions)

    def _appear(self, lane: str) -> None:
        """Let the counters of a lane's troubles begin at 0, with the reasons that every lane can have."""
        self._fences.labels(lane)
        self._aborts.labels(lane, "transaction")
        self._dead_letters.labels(lane, Reason.UNDECODABLE)

    def input_partitions(self, lane: str, partitions: int) -> None:
        """Set the number of the input's partitions: the difference is the partitions that no process owns."""
        self._appear(lane)
        self._input_partitions.labels(lane).set(partitions)

    def lost(self, lane: str, partition: int) -> None:
        """Remove the gauges of a partition that this process no longer owns: they would mislead."""
        for family in (self._lag_records, self._lag_seconds, self._oldest, self._ratio):
            family.remove(lane, str(partition))
        self.refused(lane, partition, None)
        self._show_owned(lane, max(0, self._owned.get(lane, 0) - 1))

    def _show_owned(self, lane: str, partitions: int) -> None:
        self._owned[lane] = partitions
        self._partitions.labels(lane).set(partitions)

    def aborted(self, lane: str, partition: int, reason: str) -> None:
        """Count a discarded batch."""
        self._aborts.labels(lane, reason).inc()

    def fenced(self, lane: str, partition: int) -> None:
        """Count a takeover by another owner."""
        self._fences.labels(lane).inc()

    def dead_letter(self, lane: str, partition: int, reason: str) -> None:
        """Count an input that became a dead letter."""
        self._dead_letters.labels(lane, reason).inc()

    def refused(self, lane: str, partition: int, reason: str | None) -> None:
        """Show why a partition is refused; a series exists only as long as it is."""
        if (former := self._reasons.pop((lane, partition), None)) is not None:
            self._refused.remove(lane, _number(partition), former)
        if reason is not None:
            self._reasons[lane, partition] = reason
            self._refused.labels(lane, _number(partition), reason).set(1)


def _number(partition: int) -> str:
    return "every" if partition == EVERY_PARTITION else str(partition)
