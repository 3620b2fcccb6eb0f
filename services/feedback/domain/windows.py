"""The windows that scores are counted in, and how long each is kept.

A window is named by a text: a day in the tenant's zone "2026-03-21", an hour "2026-03-21T10Z" or a minute "2026-03-21T10:05Z" of UTC, all time "".
The day is frozen in the invitation, because a fold that asked the configuration for a zone would give another result on another day. Minutes and
hours are those of UTC: they begin at the same instant for everybody. A week "2026-03-21/P7D" is never counted: it is the sum of its seven days, so
its first day may be configured differently tomorrow.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Final

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
_WEEK: Final = "/P7D"
ALL_TIME: Final = ""
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SATURDAY_ZONES: Final = frozenset({"Asia/Tehran", "Iran", "Asia/Kabul"})


class Window(StrEnum):
    """How long."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    ALL = "all"


KEPT_MS: Final = {Window.MINUTE: 2 * DAY_MS, Window.HOUR: 60 * DAY_MS, Window.DAY: 400 * DAY_MS}
"""How long after its beginning a window is counted. Later it leaves memory and topic, and nothing is added to it any more."""


def minute(at_ms: int) -> str:
    """The minute of an instant."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%MZ}"


def hour(at_ms: int) -> str:
    """The hour of an instant."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%HZ}"


def day(at_ms: int, zone: tzinfo) -> str:
    """The day of an instant in a zone."""
    return datetime.fromtimestamp(at_ms // 1000, zone).date().isoformat()


def week(of: str, begins: int) -> str:
    """The week that holds a day. `begins`: 0 for Monday to 6 for Sunday."""
    found = date.fromisoformat(of)
    return (found - timedelta(days=(found.weekday() - begins) % 7)).isoformat() + _WEEK


def days_of(name: str) -> Iterator[str]:
    """The seven days of a week."""
    first = date.fromisoformat(name.removesuffix(_WEEK))
    return ((first + timedelta(days=number)).isoformat() for number in range(7))


def kind_of(name: str) -> Window:
    """What sort of window a name is. Raises ValueError for a name of none."""
    if name == ALL_TIME:
        return Window.ALL
    if name.endswith(_WEEK):
        return Window.WEEK
    sort = {10: Window.DAY, 14: Window.HOUR, 17: Window.MINUTE}.get(len(name))
    if sort is None:
        raise ValueError(f"{name!r} names no window")
    return sort


def bounds_ms(name: str, zone: tzinfo) -> tuple[int, int]:
    """From when (included) until when (excluded) it lasts. Raises ValueError for all time and for names of nothing."""
    match kind_of(name):
        case Window.MINUTE:
            begin = int(datetime.strptime(name, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC).timestamp()) * 1000
            return begin, begin + MINUTE_MS
        case Window.HOUR:
            begin = int(datetime.strptime(name, "%Y-%m-%dT%HZ").replace(tzinfo=UTC).timestamp()) * 1000
            return begin, begin + HOUR_MS
        case Window.DAY:
            return _midnight(date.fromisoformat(name), zone), _midnight(date.fromisoformat(name) + _days(1), zone)
        case Window.WEEK:
            first = date.fromisoformat(name.removesuffix(_WEEK))
            return _midnight(first, zone), _midnight(first + _days(7), zone)
        case Window.ALL:
            raise ValueError("all time has no bounds")


def named(window: Window, at_ms: int, zone: tzinfo, begins: int) -> str:
    """The window of this sort that holds an instant."""
    match window:
        case Window.MINUTE:
            return minute(at_ms)
        case Window.HOUR:
            return hour(at_ms)
        case Window.DAY:
            return day(at_ms, zone)
        case Window.WEEK:
            return week(day(at_ms, zone), begins)
        case Window.ALL:
            return ALL_TIME


def before(name: str, zone: tzinfo, begins: int) -> str:
    """The window that ends where this one begins."""
    begin_ms, _ = bounds_ms(name, zone)
    return named(kind_of(name), begin_ms - 1, zone, begins)


@lru_cache(maxsize=100_000)
def leaves_ms(name: str) -> int | None:
    """When it leaves retention; None for all time and for names of nothing. Days count from their beginning in UTC: to the hour it matters
    to nobody.
    """
    try:
        kept = KEPT_MS.get(kind_of(name))
        return None if kept is None else bounds_ms(name, UTC)[0] + kept
    except ValueError:
        return None


def first_weekday(configured: str, zone: str) -> int:
    """The first day of the week, 0 for Monday: as configured, else Saturday in Iran and Afghanistan, else Monday. Raises ValueError."""
    if configured:
        return WEEKDAYS.index(configured)
    return WEEKDAYS.index("sat") if zone in _SATURDAY_ZONES else 0


def _midnight(of: date, zone: tzinfo) -> int:
    return int(datetime.combine(of, time(), zone).timestamp()) * 1000


def _days(number: int) -> timedelta:
    return timedelta(days=number)
