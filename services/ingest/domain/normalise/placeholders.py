"""The text in the place of something that can't be shown, in the customer's language.

Example: a customer sends a story. The agent sees "sent something that can't be shown here: story".
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

UNKNOWN: Final = "unknown"
UNREADABLE: Final = "unreadable"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "en": "sent something that can't be shown here: {type}",
        "fa": "چیزی فرستاد که این‌جا نمایش داده نمی‌شود: {type}",
    }
)


def content_name(given: str) -> str:
    """Return a provider's word for what was sent, or "unknown" when it is not a word."""
    return given.lower() if _NAME.fullmatch(given) else UNKNOWN


def placeholder_text(name: str, language: str) -> str:
    """Return the text for content of this name, in Persian for Persian and in English for every other language."""
    return _TEXTS.get(language.partition("-")[0].lower(), _TEXTS["en"]).replace("{type}", name or UNKNOWN)
