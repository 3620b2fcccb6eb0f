"""Times as people write them: `2026-11-27`, `2026-11-27T08:00+03:30`, `1405/09/06 08:00` or «۱۴۰۵/۹/۶» (Jalali), `36h` or `7d` (ago), `now`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from services.chassis.jalali import JalaliDay
from services.cli.config.files import parse_duration_ms

_JALALI: Final = re.compile(r"(1[34]\d\d)[/-](\d{1,2})[/-](\d{1,2})(?:[ T](\d{1,2}):(\d{2}))?")
_DIGITS: Final = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")


def parse_moment(text: str, now: datetime, zone: tzinfo) -> datetime:
    """Parse a time. If the text names no zone, `zone` applies. Raises ValueError with a sentence for people."""
    plain = text.strip().translate(_DIGITS)
    if plain == "now":
        return now
    if found := _JALALI.fullmatch(plain):
        year, month, day, hour, minute = (int(part or 0) for part in found.groups())
        try:
            at = datetime.combine(JalaliDay(year, month, day).gregorian(), time(hour, minute), tzinfo=zone)
        except ValueError as error:
            raise ValueError(f"{text!r} is not a day of the Jalali calendar: {error}") from error
        return at.astimezone(UTC)
    try:
        return now - timedelta(milliseconds=parse_duration_ms(plain))
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(plain)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a time: write 2026-11-27, 2026-11-27T08:00+03:30, a Jalali day such as 1405/09/06, 24h or 7d (ago), or now"
        ) from error
    return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)


def shown(at: datetime, zone: tzinfo, *, jalali: bool, with_time: bool = True) -> str:
    """Format a time for people, in a zone."""
    local = at.astimezone(zone)
    if jalali:
        day = str(JalaliDay.of(local.date()))
        return f"{day} {local:%H:%M}" if with_time else day
    return local.strftime("%Y-%m-%d %H:%M" if with_time else "%Y-%m-%d")
