"""Counts the sender lane's results after they are durable."""

from collections import Counter

from services.chassis.metrics import Metrics


class SenderCounters:
    """Counts the lane's results after they are durable."""

    def __init__(self, metrics: Metrics) -> None:
        self._families = {
            "attempts": metrics.counter("chapar_sender_attempts_total"),
            "retries": metrics.counter("chapar_sender_retries_total"),
            "unknown": metrics.counter("chapar_sender_unknown_total"),
            "outcomes": metrics.counter("chapar_delivery_outcomes_total"),
            "reports_unmatched": metrics.counter("chapar_delivery_reports_unmatched_total"),
            "dead_letters": metrics.counter("chapar_sender_dead_letters_total"),
            "erased": metrics.counter("chapar_personal_erased_total"),
        }

    def add(self, counted: Counter[tuple[str, ...]]) -> None:
        """Add counts, by name and labels."""
        for (name, *labels), many in counted.items():
            self._families[name].labels(*labels).inc(many)
