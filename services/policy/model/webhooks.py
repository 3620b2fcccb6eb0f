"""Receivers of webhooks as operators configure them."""

from dataclasses import dataclass
from enum import StrEnum


class WebhookEvent(StrEnum):
    """Events to which a receiver can subscribe."""

    ANSWERED = "feedback.answered"
    ANSWERED_TEXT = "feedback.answered.text"
    """The same, with the customer's text."""
    RECOVERY = "feedback.recovery"
    WARNED = "sla.warned"
    DESIRED_PASSED = "sla.desired_passed"
    """The desired level passed; the target can still be kept."""
    BREACHED = "sla.breached"
    """The adequate level passed: the target is not kept."""
    ESCALATED = "sla.escalated"
    CORRECTED = "sla.corrected"
    """A breach, or a passed desired level, is withdrawn."""
    REARMED = "sla.rearmed"
    """A target runs again, because the reply that had met it has failed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A configured receiver. `secrets`: references, the current one first; `events`: the events that it subscribes to."""

    name: str
    url: str
    secrets: tuple[str, ...]
    events: frozenset[str] = frozenset()
