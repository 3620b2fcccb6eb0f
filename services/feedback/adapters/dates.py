"""How a time is shown to a customer: the Jalali calendar and Persian digits for readers of Persian, English for all
others."""

from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Final

from services.chassis.jalali import JalaliDay
from services.policy.model.surveys import primary

PERSIAN_DIGITS: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
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


@lru_cache(maxsize=4096)  # every page shows until when it can be answered, and many show the same time
def _shown(minute: int, zone: tzinfo, language: str) -> str:
    local = datetime.fromtimestamp(minute * 60, zone)
    if primary(language) == "fa":
        day = JalaliDay.of(local.date())
        text = f"{_WEEKDAYS[local.weekday()]} {day.day} {_MONTHS[day.month - 1]} {day.year} ساعت {local:%H:%M}"
        return text.translate(PERSIAN_DIGITS)
    return f"{_ENGLISH_WEEKDAYS[local.weekday()]}, {local.day} {_ENGLISH_MONTHS[local.month - 1]} {local.year}, {local:%H:%M}"
