"""Metrics of the lanes in this process: what they did and what they hold."""

import asyncio
from collections import Counter
from typing import Final

from services.chassis.clock import Clock
from services.chassis.kafka.lane import Processor
from services.chassis.metrics import Metrics
from services.policy.model.sla import Target
from services.sla.domain.analytics import Noted
from services.sla.domain.facts import Occurrence, OccurrenceKind
from services.sla.domain.forecasting import FollowedKey, Forecasting
from services.sla.lanes.deadlines import DeadlineProcessor

_PERIOD_S: Final = 1.0
_RECENT: Final = 500
_PAST_DUE_MS: Final = 2_000
"""Longer than settling and a slow batch can explain: from here on an operator should look."""


class Telemetry:
    """Counts what was committed; looks once a second at what the lanes hold."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._clock = clock
        self._owned: dict[int, DeadlineProcessor] = {}
        self._armed = metrics.counter("chapar_sla_deadlines_armed_total")
        self._open = metrics.gauge("chapar_sla_deadlines_open")
        self._lateness = metrics.histogram("chapar_sla_fired_lateness_seconds")
        self._breaches = metrics.counter("chapar_sla_breaches_total")
        self._corrected = metrics.counter("chapar_sla_corrections_total")
        self._rearmed = metrics.counter("chapar_sla_rearmed_total")
        self._met = metrics.counter("chapar_sla_met_total")
        self._warnings = metrics.counter("chapar_sla_warnings_total")
        self._past_due = metrics.gauge("chapar_sla_timers_past_due").labels()
        self._predictions = metrics.counter("chapar_sla_predictions_total")
        self._forecast_open = metrics.combined("chapar_sla_forecast_open")
        self._at_risk = metrics.combined("chapar_sla_at_risk")
        self._brier = metrics.gauge("chapar_sla_forecast_brier_ratio")
        self._base_brier = metrics.gauge("chapar_sla_forecast_base_brier_ratio")
        self._durations = {
            kind: metrics.histogram(f"chapar_sla_{kind}_seconds")
            for kind in ("pick_up", "first_response", "response", "resolution")
        }
        self._shown: set[FollowedKey] = set()
        self._appeared: set[tuple[str, str, str]] = set()

    def owned(self, partition: int, processor: Processor) -> None:
        """Record that a partition is live."""
        if isinstance(processor, DeadlineProcessor):
            self._owned[partition] = processor

    def lost(self, partition: int) -> None:
        """Record that a partition is gone."""
        self._owned.pop(partition, None)

    @property
    def partitions(self) -> frozenset[int]:
        """Return the partitions that this process owns."""
        return frozenset(self._owned)

    def committed(self, occurrences: list[Occurrence]) -> None:
        """Count occurrences. See ports.OnCommitted."""
        for o in occurrences:
            target, level = o.target.name, o.level.name
            self._appear(o.tenant, target, o.queue)
            if o.due_ms:
                self._lateness.labels(target).observe((o.occurred_at_ms - o.due_ms) / 1000)
            match o.kind:
                case OccurrenceKind.SET:
                    self._armed.labels(target, "DESIRED").inc()
                    self._armed.labels(target, "ADEQUATE").inc()
                case OccurrenceKind.WARNED:
                    self._warnings.labels(o.tenant, target, o.queue).inc()
                case OccurrenceKind.BREACHED | OccurrenceKind.DESIRED_PASSED:
                    self._breaches.labels(o.tenant, target, level, o.queue).inc()
                case OccurrenceKind.CORRECTED:
                    self._corrected.labels(o.tenant, target, level, o.queue).inc()
                case OccurrenceKind.REARMED:
                    self._rearmed.labels(o.tenant, target, o.queue).inc()
                case OccurrenceKind.PREDICTED:
                    self._predictions.labels(o.tenant, target, o.queue).inc()
                case OccurrenceKind.MET:
                    self._met.labels(o.tenant, target, level, o.queue).inc()
                case _:
                    pass  # pauses and cancellations have no metric of their own

    def _appear(self, tenant: str, target: str, queue: str) -> None:
        """Let all outcomes of a queue's targets exist from the first one on: a ratio of two of them is never of one alone."""
        if (tenant, target, queue) in self._appeared:
            return
        self._appeared.add((tenant, target, queue))
        self._lateness.labels(target)
        self._warnings.labels(tenant, target, queue)
        self._predictions.labels(tenant, target, queue)
        for level in ("DESIRED", "ADEQUATE"):
            for family in (self._met, self._breaches, self._corrected):
                family.labels(tenant, target, level, queue)

    def measured(self, noted: list[Noted]) -> None:
        """Observe durations that were committed."""
        for one in noted:
            self._durations[one.kind].labels(one.tenant, one.queue, one.channel).observe(one.ms / 1000)

    async def watch(self) -> None:
        """Update the gauges for as long as the process runs."""
        while True:
            self.look()
            await asyncio.sleep(_PERIOD_S)

    def look(self) -> None:
        """Update the gauges once."""
        all_tracked = [processor.tracked for processor in self._owned.values()]
        counts: Counter[Target] = Counter()
        for tracked in all_tracked:
            counts.update(tracked.open_by_target)
        for target in Target:
            self._open.labels(target.name).set(counts[target])
        before = self._clock() - _PAST_DUE_MS
        self._past_due.set(sum(tracked.past_due(before) for tracked in all_tracked))
        self._look_ahead([processor.analytics.forecasting for processor in self._owned.values()])

    def _look_ahead(self, forecasters: list[Forecasting]) -> None:
        followed: Counter[FollowedKey] = Counter()
        likely: Counter[FollowedKey] = Counter()
        for forecasting in forecasters:
            followed.update(forecasting.followed)
            likely.update(forecasting.likely)
        self._shown.update(followed)
        for tenant, queue, target in self._shown:
            place = (tenant, target.name, queue)
            self._forecast_open.set(*place, to=followed[tenant, queue, target])
            self._at_risk.set(*place, to=likely[tenant, queue, target])
        for target in Target:
            # Weighted by the number of recent outcomes: a lane that has just begun counts little.
            models = [m for f in forecasters for (_, kind), m in f.models.items() if kind is target and m.learned]
            weight = sum(min(_RECENT, m.learned) for m in models)
            if weight:
                base = sum(min(_RECENT, m.learned) * m.base for m in models) / weight
                self._brier.labels(target.name).set(sum(min(_RECENT, m.learned) * m.brier for m in models) / weight)
                self._base_brier.labels(target.name).set(base * (1 - base))
