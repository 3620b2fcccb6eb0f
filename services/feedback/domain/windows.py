"""The windows in which scores are counted, and how long each is kept.

A window is named by a text: a day in the tenant's zone "2026-03-21", an hour "2026-03-21T10Z" or a minute
"2026-03-21T10:05Z" of UTC, all time "". The day is frozen in the invitation, because counts that used the currently
configured zone would give another result after a change. Minutes and hours are those of UTC: they begin at the same
instant for all tenants. A week "2026-03-21/P7D" is never counted: it is the sum of its seven days, so its first day may
be configured differently later.
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


class Window(StrEnum):
    """Length of a window."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    ALL = "all"


KEPT_MS: Final = {Window.MINUTE: 2 * DAY_MS, Window.HOUR: 60 * DAY_MS, Window.DAY: 400 * DAY_MS}
"""How long after its beginning a window is counted. After that it leaves memory and topic, and nothing is added to
it any more."""


def minute(at_ms: int) -> str:
    """Return the minute of an instant."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%MZ}"


def hour(at_ms: int) -> str:
    """Return the hour of an instant."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%HZ}"


def day(at_ms: int, zone: tzinfo) -> str:
    """Return the day of an instant in a zone."""
    return datetime.fromtimestamp(at_ms // 1000, zone).date().isoformat()


def week(of: str, begins: int) -> str:
    """Return the week that contains a day. `begins`: 0 for Monday to 6 for Sunday."""
    found = date.fromisoformat(of)
    return (found - timedelta(days=(found.weekday() - begins) % 7)).isoformat() + _WEEK


def days_of(name: str) -> Iterator[str]:
    """Yield the seven days of a week."""
    first = date.fromisoformat(name.removesuffix(_WEEK))
    return ((first + timedelta(days=number)).isoformat() for number in range(7))


def kind_of(name: str) -> Window:
    """Return the length of the window with this name. Raises ValueError for a text that is not a window's name."""
    if name == ALL_TIME:
        return Window.ALL
    if name.endswith(_WEEK):
        return Window.WEEK
    sort = {10: Window.DAY, 14: Window.HOUR, 17: Window.MINUTE}.get(len(name))
    if sort is None:
        raise ValueError(f"{name!r} is not the name of a window")
    return sort


def bounds_ms(name: str, zone: tzinfo) -> tuple[int, int]:
    """Return its beginning (included) and its end (excluded). Raises ValueError for all time and for texts that are
    not a window's name."""
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
            raise ValueError("a window of all time does not have bounds")


def named(window: Window, at_ms: int, zone: tzinfo, begins: int) -> str:
    """Return the window of this length that contains an instant."""
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
    """Return the window that ends where this one begins."""
    begin_ms, _ = bounds_ms(name, zone)
    return named(kind_of(name), begin_ms - 1, zone, begins)


@lru_cache(maxsize=100_000)
def leaves_ms(name: str) -> int | None:
    """Return when it leaves retention; None for all time and for texts that are not a window's name. Days count from
    their beginning in UTC; an error of some hours does not matter."""
    try:
        kept = KEPT_MS.get(kind_of(name))
        return None if kept is None else bounds_ms(name, UTC)[0] + kept
    except ValueError:
        return None


def _midnight(of: date, zone: tzinfo) -> int:
    return int(datetime.combine(of, time(), zone).timestamp()) * 1000


def _days(number: int) -> timedelta:
    return timedelta(days=number)
