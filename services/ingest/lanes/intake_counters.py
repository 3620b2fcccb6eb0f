"""Counts the intake lane's results after they are durable."""

from collections import Counter

from services.chassis.metrics import Metrics


class IntakeCounters:
    """Counts the lane's results after they are durable."""

    def __init__(self, metrics: Metrics) -> None:
        self._families = {
            "messages": metrics.counter("chapar_intake_messages_total"),
            "duplicates": metrics.counter("chapar_intake_duplicates_total"),
            "opened": metrics.counter("chapar_intake_interactions_opened_total"),
            "unroutable": metrics.counter("chapar_intake_unroutable_total"),
            "reports_unmatched": metrics.counter("chapar_delivery_reports_unmatched_total"),
            "blocked": metrics.counter("chapar_intake_blocked_total"),
            "erased": metrics.counter("chapar_personal_erased_total"),
        }
        self._gauge = metrics.gauge("chapar_intake_open_interactions").labels()
        self._open: dict[int, int] = {}

    def add(self, counted: Counter[tuple[str, ...]]) -> None:
        """Add counts, by name and labels."""
        for (name, *labels), many in counted.items():
            self._families[name].labels(*labels).inc(many)

    def restored(self, partition: int, open_: int) -> None:
        """A partition was assigned to us, with this number of open interactions."""
        self._open[partition] = open_
        self._gauge.set(sum(self._open.values()))

    def open_changed(self, partition: int, by: int) -> None:
        """Change the number of open interactions."""
        self.restored(partition, self._open.get(partition, 0) + by)

    def lost(self, partition: int) -> None:
        """A partition was taken from us."""
        self._open.pop(partition, None)
        self._gauge.set(sum(self._open.values()))
