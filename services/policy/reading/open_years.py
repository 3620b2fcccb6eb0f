"""The opening hours of a calendar in its time zone, year by year, by zoneinfo and `holidays`.

`OpenYears` is a pure function of the year once its zone has been read, so a lane decides the same wherever it runs,
given the same time zone and holiday data (their versions are pinned in the lock file).
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays

from services.policy.model.calendars import CalendarSpec, ExceptionalHours, OpenHours

_DAY_S: Final = 86_400
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_MOST_SHIFTS: Final = 200
_MOST_EXCEPTIONS: Final = 2_000


class CalendarRefused(ValueError):  # noqa: N818 - a verdict about configuration
    """A calendar that cannot be used. The text is for people and names the fault."""


class OpenYears:
    """Open intervals of a UTC year. Raises CalendarRefused for an unknown zone or country, or an invalid date or
    hours."""

    def __init__(self, spec: CalendarSpec) -> None:
        try:
            self._zone = ZoneInfo(spec.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise CalendarRefused(f"there is no IANA time zone {spec.zone!r}") from error
        if not spec.hours and not spec.exceptions:
            raise CalendarRefused("the calendar is never open: it has no hours")
        if len(spec.hours) > _MOST_SHIFTS:
            raise CalendarRefused(f"more than {_MOST_SHIFTS} opening intervals in a week")
        if len(spec.exceptions) > _MOST_EXCEPTIONS:
            raise CalendarRefused(f"more than {_MOST_EXCEPTIONS} exceptional opening hours")
        self._hours: list[list[tuple[int, int]]] = [[] for _ in range(7)]
        for shift in spec.hours:
            if not 0 <= shift.weekday < 7:
                raise CalendarRefused(f"there is no such day: {shift}")
            self._hours[shift.weekday].append(_seconds(shift))
        self._hours = [_merged(shifts) for shifts in self._hours]
        self._closed = frozenset(_date(text) for text in spec.closed_dates)
        self._open = frozenset(_date(text) for text in spec.open_dates)
        self._exceptions: dict[date, list[tuple[int, int]]] = {}
        for exception in spec.exceptions:
            self._exceptions.setdefault(_date(exception.date), []).append(_seconds(exception))
        self._exceptions = {on: _merged(shifts) for on, shifts in self._exceptions.items()}
        self._countries = tuple(name for name in (spec.holidays_country, *spec.more_countries) if name)
        self._holidays: dict[int, frozenset[date]] = {}
        for country in self._countries:
            # The first call imports the country's module, which takes half a second: do it here, not in a lane's first
            # batch.
            _holidays(country, None)

    def __call__(self, year: int) -> list[tuple[int, int]]:
        """See `services.policy.model.business_time.YearSource`."""
        first = _utc_s(year)
        last = _utc_s(year + 1)
        found: list[tuple[int, int]] = []
        for start, end, offset in self._constant_offsets(first, last):
            # Within such a stretch, a wall clock is UTC plus the offset, and each local day is 24 hours, if cut at the
            # stretch's ends.
            for day in range((start + offset) // _DAY_S, (end - 1 + offset) // _DAY_S + 1):
                for from_s, to_s in self._open_on(day):
                    low = max(start, day * _DAY_S + from_s - offset)
                    high = min(end, day * _DAY_S + to_s - offset)
                    if low < high:
                        found.append((low * 1000, high * 1000))
        return _merged(found)

    def _open_on(self, day: int) -> list[tuple[int, int]]:
        on = date.fromordinal(_EPOCH_ORDINAL + day)
        if on in self._closed:
            return []
        if on in self._exceptions:
            return self._exceptions[on]
        if self._countries and on not in self._open and on in self._holidays_of(on.year):
            return []
        return self._hours[on.weekday()]

    def _holidays_of(self, year: int) -> frozenset[date]:
        found = self._holidays.get(year)
        if found is None:
            found = frozenset().union(*(_holidays(country, year) for country in self._countries))
            self._holidays[year] = found
        return found

    def _constant_offsets(self, first: int, last: int) -> list[tuple[int, int, int]]:
        """Return stretches [from, to) of UTC seconds with one offset. They are found by one look a day, then by
        bisection to the second."""
        found: list[tuple[int, int, int]] = []
        begun, offset = first, self._offset(first)
        at = first
        while at < last:
            ahead = min(at + _DAY_S, last)
            other = self._offset(ahead - 1)
            if other != offset:
                low, high = at, ahead - 1  # the offset at `low` is the old one; at `high` it has changed
                while high - low > 1:
                    middle = (low + high) // 2
                    if self._offset(middle) == offset:
                        low = middle
                    else:
                        high = middle
                found.append((begun, high, offset))
                begun, offset = high, self._offset(high)
                at = high
            else:
                at = ahead
        found.append((begun, last, offset))
        return found

    def _offset(self, at_s: int) -> int:
        offset = datetime.fromtimestamp(at_s, UTC).astimezone(self._zone).utcoffset()
        return int((offset or timedelta()).total_seconds())


def _seconds(shift: OpenHours | ExceptionalHours) -> tuple[int, int]:
    if not 0 <= shift.from_minute < shift.to_minute <= 1440:
        raise CalendarRefused(f"opening hours must begin before they end, within one day: {shift}")
    return shift.from_minute * 60, shift.to_minute * 60


def _holidays(country: str, year: int | None) -> "holidays.HolidayBase":
    name, _, part = country.partition("-")
    try:
        return holidays.country_holidays(name, subdiv=part or None, years=year)
    except NotImplementedError as error:
        raise CalendarRefused(f"the public holidays of {country!r} are not known") from error


def _utc_s(year: int) -> int:
    return (date(year, 1, 1).toordinal() - _EPOCH_ORDINAL) * _DAY_S


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CalendarRefused(f"{text!r} is not a date: write YYYY-MM-DD") from error


def _merged(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
