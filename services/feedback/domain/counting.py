"""A tenant's configuration of counting, besides its surveys."""

from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Final

from services.feedback.domain.categories import Rule as CategoryRule
from services.feedback.domain.contacts import DEFAULT_WINDOW_MS
from services.feedback.domain.recovery import Rule as RecoveryRule

LEAST_RESPONSES: Final = 5


@dataclass(frozen=True, slots=True)
class Counting:
    """`week_begins`: 0 for Monday to 6 for Sunday. `routes`: webhooks that are notified of responses in a category."""

    zone: tzinfo = UTC
    week_begins: int = 0
    least_responses: int = LEAST_RESPONSES
    first_contact_window_ms: int = DEFAULT_WINDOW_MS
    recoveries: tuple[RecoveryRule, ...] = ()
    categories: tuple[CategoryRule, ...] = ()
    routes: dict[str, frozenset[str]] = field(default_factory=dict)
