"""Checks webhooks: receivers that can't be used, and events that do not exist."""

from __future__ import annotations

from typing import Final

from services.chassis.webhooks import problem_of
from services.cli.config.files import Document
from services.cli.config.lint.secrets import find_reference

EVENTS: Final = frozenset(
    {"feedback.answered", "feedback.answered.text", "feedback.recovery", "sla.warned", "sla.breached", "sla.escalated"}
)


def webhooks(document: Document) -> None:
    """Check all webhooks; add findings to the document."""
    for index, webhook in enumerate(document.configuration.webhooks):
        if problem := problem_of(webhook, document.rules):
            document.find("WEBHOOK", f"webhook `{webhook.name}`: {problem}", "webhooks", index)
        for name, reference in webhook.secrets.items():
            what = f"webhook `{webhook.name}`: the secret `{name}`"
            find_reference(document, what, reference, "webhooks", index, "secrets", name)
        for place, event in enumerate(webhook.events):
            if event not in EVENTS:
                known = ", ".join(sorted(EVENTS))
                document.find(
                    "UNKNOWN_EVENT", f"there is no event `{event}` (known: {known})", "webhooks", index, "events", place
                )
