"""Checks the forecasts that a policy asks for (`predict` of a target)."""

from __future__ import annotations

from services.cli.config.files import Document

_MOST_PRIORITY = 1_000_000


def predictions(document: Document) -> None:
    """Check for probabilities out of range and for priorities that the router does not accept."""
    for i, policy in enumerate(document.configuration.sla_policies):
        for j, target in enumerate(policy.targets):
            if not target.HasField("predict"):
                continue
            here = ("sla_policies", i, "targets", j, "predict")
            if not 0 < target.predict.probability < 1:
                message = "`probability` must lie between 0 and 1, e.g. 0.7: a less likely breach is not reported"
                document.find("PREDICTION_PROBABILITY", message, *here)
            elif target.predict.probability < 0.2:
                message = "a `probability` below 0.2 reports mostly targets that are met in the end: is 0.7 meant?"
                document.find("PREDICTION_OF_LITTLE", message, *here, severity="warning")
            if not 0 <= target.predict.add_priority <= _MOST_PRIORITY:
                message = f"`add_priority` must lie between 0 and {_MOST_PRIORITY:,}"
                document.find("OUT_OF_RANGE", message, *here)
