"""Texts that go out by themselves: chosen by language, filled in, with the digits of that language.

Placeholders are replaced one by one and never formatted: a text from the configuration can't reach into objects. Unknown
placeholders stay as they are.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ACKNOWLEDGEMENT: Final = "acknowledgement"
WITHOUT_WAIT: Final = "acknowledgement_without_wait"
"""Used when nobody can estimate the wait."""

_MINUTE_MS: Final = 60_000
_PERSIAN: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
_ARABIC: Final = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
_BUILT_IN: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        ACKNOWLEDGEMENT: {
            "en": "We have received your message. The estimated wait is {minutes} min.",
            "fa": "پیام شما رسید. زمان تقریبی انتظار: {minutes} دقیقه.",
        },
        WITHOUT_WAIT: {
            "en": "We have received your message and will answer as soon as we can.",
            "fa": "پیام شما رسید. به‌زودی پاسخ می‌دهیم.",
        },
    }
)


def acknowledgement(
    templates: Mapping[str, Mapping[str, str]],
    language: str,
    default_language: str,
    *,
    estimated_wait_ms: int,
    position: int,
) -> str:
    """The acknowledgement in the conversation's language. `estimated_wait_ms` -1 and `position` 0 mean unknown; minutes are rounded up."""
    name = ACKNOWLEDGEMENT if estimated_wait_ms >= 0 else WITHOUT_WAIT
    chosen, text = pick(templates, name, language, default_language)
    minutes = max(1, -(-estimated_wait_ms // _MINUTE_MS)) if estimated_wait_ms >= 0 else 0
    return fill(text, chosen, {"minutes": minutes, "position": max(position, 1)})


def pick(
    templates: Mapping[str, Mapping[str, str]], name: str, language: str, default_language: str
) -> tuple[str, str]:
    """(language, text): the operator's texts before the built-in ones; exact language, its base, the tenant's, English, any."""
    wanted = (language, language.partition("-")[0], default_language, default_language.partition("-")[0], "en")
    for texts in (templates.get(name, {}), _BUILT_IN.get(name, {})):
        for tag in wanted:
            if texts.get(tag):
                return tag, texts[tag]
        for tag, text in texts.items():
            if text:
                return tag, text
    return default_language, ""


def fill(text: str, language: str, numbers: Mapping[str, int]) -> str:
    """The text with its {placeholders} replaced, numbers in the language's digits."""
    for name, number in numbers.items():
        text = text.replace("{" + name + "}", digits(str(number), language))
    return text


def digits(number: str, language: str) -> str:
    """ASCII digits to those that readers of the language expect."""
    base = language.partition("-")[0]
    if base == "fa":
        return number.translate(_PERSIAN)
    if base == "ar":
        return number.translate(_ARABIC)
    return number
