"""The metrics of notices to other systems."""

from typing import Final

from services.chassis.metrics_catalogue import counter

METRICS: Final = (
    counter(
        "chapar_webhook_attempts_total",
        "outcome",
        "Attempts to notify another system: taken or not_taken.",
        "taken not_taken",
    ),
    counter(
        "chapar_webhook_dead_letters_total",
        "reason",
        "Notices given up, by the reason of the last failed attempt.",
        "GONE UNKNOWN_WEBHOOK",
    ),
)
