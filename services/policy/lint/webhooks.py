"""Checks webhooks: receivers that can't be used, and events that do not exist."""

from __future__ import annotations

from services.chassis.destinations import problem_of_url
from services.policy.lint.review import Review
from services.policy.lint.secrets import find_reference
from services.policy.model.webhooks import WebhookEvent
from services.policy.reading.webhooks import read_webhooks


def webhooks(review: Review) -> None:
    """Check all webhooks; add findings to the review."""
    known_events = sorted(WebhookEvent)
    read_webhooks(review.configuration, review.findings)
    for index, webhook in enumerate(review.configuration.webhooks):
        if problem := problem_of_url(webhook.url, review.destinations):
            review.find("WEBHOOK", f"webhook `{webhook.name}`: {problem}", "webhooks", index)
        for name, reference in webhook.secrets.items():
            what = f"webhook `{webhook.name}`: the secret `{name}`"
            find_reference(review, what, reference, "webhooks", index, "secrets", name)
        for place, event in enumerate(webhook.events):
            if event not in known_events:
                known = ", ".join(known_events)
                review.find(
                    "UNKNOWN_EVENT", f"there is no event `{event}` (known: {known})", "webhooks", index, "events", place
                )
