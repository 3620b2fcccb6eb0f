"""The texts that a tenant can word itself, and their placeholders."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PERSIAN_DIGITS: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
"""For numbers in Persian texts."""
ACKNOWLEDGEMENT: Final = "acknowledgement"
WITHOUT_WAIT: Final = "acknowledgement_without_wait"
"""Used when the wait cannot be estimated."""
CLOSED: Final = "closed"
"""Used instead of both while the queue or the account is closed."""
CLOSED_WITHOUT_OPENING: Final = "closed_without_opening"
"""Used when no opening is known."""
SILENCE_WARNING: Final = "silence_warning"
"""Sent to a customer who has not answered a reply: the interaction is about to be completed."""
SURVEY_INVITATION: Final = "survey_invitation"
SURVEY_REMINDER: Final = "survey_reminder"
PLACEHOLDERS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        ACKNOWLEDGEMENT: frozenset({"minutes", "position"}),
        CLOSED: frozenset({"opens"}),
        SILENCE_WARNING: frozenset({"minutes"}),
        SURVEY_INVITATION: frozenset({"question", "link", "until"}),
        SURVEY_REMINDER: frozenset({"question", "link", "until"}),
    }
)
"""Placeholders by template. Other templates may have any: a placeholder without a value is left unchanged."""
TEMPLATES: Final = (
    ACKNOWLEDGEMENT,
    WITHOUT_WAIT,
    CLOSED,
    CLOSED_WITHOUT_OPENING,
    SILENCE_WARNING,
    SURVEY_INVITATION,
    SURVEY_REMINDER,
)
"""All templates that a message is made of."""
