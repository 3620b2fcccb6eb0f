"""Automatic texts: chosen by language, with placeholders filled in and numbers in the digits of that language.

Placeholders are replaced one by one. The text is never used as a format string, so a text from the configuration cannot
read attributes of objects. Unknown placeholders are left unchanged.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.policy.model.opening_hours import Closed, Moment
from services.policy.model.templates import (
    ACKNOWLEDGEMENT,
    CLOSED,
    CLOSED_WITHOUT_OPENING,
    PERSIAN_DIGITS,
    SILENCE_WARNING,
    WITHOUT_WAIT,
)

_MINUTE_MS: Final = 60_000
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
        CLOSED: {
            "en": "We have received your message. We are closed. We open on {opens}.",
            "fa": "پیام شما رسید. اکنون بسته‌ایم. {opens} پاسخ‌گوی شما هستیم.",
        },
        CLOSED_WITHOUT_OPENING: {
            "en": "We have received your message. We are closed.",
            "fa": "پیام شما رسید. اکنون بسته‌ایم.",
        },
        SILENCE_WARNING: {
            "en": "Are you still there? If we do not hear from you in the next {minutes} min, we will close this conversation.",
            "fa": "هنوز آنجا هستید؟ اگر تا {minutes} دقیقهٔ دیگر پیامی نرسد، این گفتگو را می‌بندیم.",
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
    """Return the acknowledgement in the conversation's language.

    `estimated_wait_ms` -1 and `position` 0 mean unknown. Minutes are rounded up.
    """
    name = ACKNOWLEDGEMENT if estimated_wait_ms >= 0 else WITHOUT_WAIT
    chosen, text = pick(templates, name, language, default_language)
    minutes = max(1, -(-estimated_wait_ms // _MINUTE_MS)) if estimated_wait_ms >= 0 else 0
    return fill(text, chosen, {"minutes": minutes, "position": max(position, 1)})


def closed_notice(
    templates: Mapping[str, Mapping[str, str]],
    language: str,
    default_language: str,
    *,
    closed: Closed,
    now_ms: int,
    shown: Moment,
) -> str:
    """Return the text that says that we are closed and when we open, in the conversation's language."""
    if closed.opens_at_ms is None:
        return pick(templates, CLOSED_WITHOUT_OPENING, language, default_language)[1]
    chosen, text = pick(templates, CLOSED, language, default_language)
    return text.replace("{opens}", digits(shown(closed.opens_at_ms, now_ms, chosen), chosen))


def silence_warning(
    templates: Mapping[str, Mapping[str, str]], language: str, default_language: str, *, closes_in_ms: int
) -> str:
    """Return the warning to a silent customer in the conversation's language. Minutes are rounded up."""
    chosen, text = pick(templates, SILENCE_WARNING, language, default_language)
    return fill(text, chosen, {"minutes": max(1, -(-closes_in_ms // _MINUTE_MS))})


def pick(
    templates: Mapping[str, Mapping[str, str]], name: str, language: str, default_language: str
) -> tuple[str, str]:
    """Return (language, text). The operator's texts come before the built-in ones.

    Languages in order: the exact language, its base language, the tenant's default and its base, English, any.
    """
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
    """Replace the {placeholders} of the text; numbers are written in the language's digits."""
    for name, number in numbers.items():
        text = text.replace("{" + name + "}", digits(str(number), language))
    return text


def digits(number: str, language: str) -> str:
    """Convert ASCII digits to the digits that readers of the language expect."""
    base = language.partition("-")[0]
    if base == "fa":
        return number.translate(PERSIAN_DIGITS)
    if base == "ar":
        return number.translate(_ARABIC)
    return number
