"""What the lanes of this process did and hold, on the catalogue's metrics."""

import asyncio
from collections import Counter
from typing import Final

from services.chassis.clock import Clock
from services.chassis.kafka.lane import Processor
from services.chassis.metrics import Metrics
from services.sla.adapters.lane import DeadlineProcessor
from services.sla.domain.facts import Occurrence, OccurrenceKind
from services.sla.domain.policy import Target

_PERIOD_S: Final = 1.0
_PAST_DUE_MS: Final = 2_000
"""Later than settling and a slow batch explain: from here on somebody should look."""


class Telemetry:
    """Counts what was committed; looks once a second at what the lanes hold."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._clock = clock
        self._owned: dict[int, DeadlineProcessor] = {}
        self._armed = metrics.counter("chapar_sla_deadlines_armed_total")
        self._open = metrics.gauge("chapar_sla_deadlines_open")
        self._lateness = metrics.histogram("chapar_sla_fired_lateness_seconds")
        self._breaches = metrics.counter("chapar_sla_breaches_total")
        self._met = metrics.counter("chapar_sla_met_total")
        self._warnings = metrics.counter("chapar_sla_warnings_total")
        self._past_due = metrics.gauge("chapar_sla_timers_past_due").labels()

    def owned(self, partition: int, processor: Processor) -> None:
        """A partition is live."""
        if isinstance(processor, DeadlineProcessor):
            self._owned[partition] = processor

    def lost(self, partition: int) -> None:
        """A partition is gone."""
        self._owned.pop(partition, None)

    @property
    def partitions(self) -> frozenset[int]:
        """What this process owns."""
        return frozenset(self._owned)

    def committed(self, occurrences: list[Occurrence]) -> None:
        """See ports.Told."""
        for o in occurrences:
            target, level = o.target.name, o.level.name
            if o.due_ms:
                self._lateness.labels(target).observe((o.occurred_at_ms - o.due_ms) / 1000)
            match o.kind:
                case OccurrenceKind.SET:
                    self._armed.labels(target, "DESIRED").inc()
                    self._armed.labels(target, "ADEQUATE").inc()
                case OccurrenceKind.WARNED:
                    self._warnings.labels(target, o.queue).inc()
                case OccurrenceKind.BREACHED:
                    self._breaches.labels(target, level, o.queue).inc()
                case OccurrenceKind.MET:
                    self._met.labels(target, level, o.queue).inc()
                case _:
                    pass  # pauses and cancellations have no metric of their own

    async def watch(self) -> None:
        """Keeps the gauges; runs as long as the process."""
        while True:
            self.look()
            await asyncio.sleep(_PERIOD_S)

    def look(self) -> None:
        """Sets the gauges once."""
        books = [processor.book for processor in self._owned.values()]
        counts: Counter[Target] = Counter()
        for book in books:
            counts.update(book.open_by_target)
        for target in Target:
            self._open.labels(target.name).set(counts[target])
        before = self._clock() - _PAST_DUE_MS
        self._past_due.set(sum(book.past_due(before) for book in books))
