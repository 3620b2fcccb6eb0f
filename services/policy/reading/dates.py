"""How a time is shown to a customer: the Jalali calendar and Persian digits for readers of Persian, English for all
others."""

from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Final

from services.chassis.jalali import JalaliDay
from services.policy.model.surveys import primary
from services.policy.model.templates import PERSIAN_DIGITS

_MONTHS: Final = (
    "فروردین",
    "اردیبهشت",
    "خرداد",
    "تیر",
    "مرداد",
    "شهریور",
    "مهر",
    "آبان",
    "آذر",
    "دی",
    "بهمن",
    "اسفند",
)
_WEEKDAYS: Final = ("دوشنبه", "سه‌شنبه", "چهارشنبه", "پنجشنبه", "جمعه", "شنبه", "یکشنبه")
_ENGLISH_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_ENGLISH_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def shown(at_ms: int, zone: tzinfo, language: str) -> str:
    """Return weekday, date and time to the minute in the zone; names do not depend on the machine's locale."""
    return _shown(at_ms // 60_000, zone, language)


def opening_shown(zone: tzinfo, at_ms: int, now_ms: int, language: str) -> str:
    """Return the weekday, the date and the time of an opening in the zone; the year only if it is not this one.

    Persian has the Jalali calendar, English the Gregorian one; other languages, of which no names are kept, get numbers.
    The date is always there, because people read mails later than they are sent.
    """
    local, now = (datetime.fromtimestamp(ms // 1000, zone) for ms in (at_ms, now_ms))
    language = primary(language)
    if language == "fa":
        day, today = JalaliDay.of(local.date()), JalaliDay.of(now.date())
        year = f" {day.year}" if day.year != today.year else ""
        text = f"{_WEEKDAYS[local.weekday()]} {day.day} {_MONTHS[day.month - 1]}{year} ساعت {local.hour}:{local:%M}"
        return text.translate(PERSIAN_DIGITS)
    if language == "en":
        year = f" {local.year}" if local.year != now.year else ""
        date = f"{local.day} {_ENGLISH_MONTHS[local.month - 1]}{year}"
        return f"{_ENGLISH_WEEKDAYS[local.weekday()]}, {date}, at {local:%H:%M}"
    return f"{local:%Y-%m-%d %H:%M}"


@lru_cache(maxsize=4096)  # every page shows until when it can be answered, and many show the same time
def _shown(minute: int, zone: tzinfo, language: str) -> str:
    local = datetime.fromtimestamp(minute * 60, zone)
    if primary(language) == "fa":
        day = JalaliDay.of(local.date())
        text = f"{_WEEKDAYS[local.weekday()]} {day.day} {_MONTHS[day.month - 1]} {day.year} ساعت {local:%H:%M}"
        return text.translate(PERSIAN_DIGITS)
    return f"{_ENGLISH_WEEKDAYS[local.weekday()]}, {local.day} {_ENGLISH_MONTHS[local.month - 1]} {local.year}, {local:%H:%M}"
