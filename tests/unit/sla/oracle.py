"""A slow reference for business time: it checks the wall clock at every single step. It shares only the zone data
with the code under test."""

from bisect import bisect_left
from datetime import UTC, date, datetime
from itertools import accumulate
from zoneinfo import ZoneInfo

import holidays

from services.policy.model.calendars import CalendarSpec


class WallClock:
    """Opening hours by looking at a wall clock."""

    def __init__(self, spec: CalendarSpec) -> None:
        self._zone = ZoneInfo(spec.zone)
        self._spec = spec
        self._open_days: dict[date, list[tuple[int, int]]] = {}

    def is_open(self, at_s: int) -> bool:
        """Return whether it is open in the second that begins at this Unix time."""
        local = datetime.fromtimestamp(at_s, UTC).astimezone(self._zone)
        second = local.hour * 3600 + local.minute * 60 + local.second
        return any(low <= second < high for low, high in self._shifts(local.date()))

    def add(self, start_s: int, duration_s: int) -> int:
        """Return the earliest second, not before the start, at which `duration_s` open seconds have passed, counted
        second by second."""
        at = start_s
        left = duration_s
        while left > 0:
            left -= self.is_open(at)
            at += 1
        return at

    def minutes(self, start_s: int, days: int) -> "Minutes":
        """Check every minute of some days, one by one."""
        return Minutes(start_s, [self.is_open(at) for at in range(start_s, start_s + days * 86_400, 60)])

    def _shifts(self, on: date) -> list[tuple[int, int]]:
        if on not in self._open_days:
            self._open_days[on] = self._of(on, on.isoformat())
        return self._open_days[on]

    def _of(self, on: date, text: str) -> list[tuple[int, int]]:
        spec = self._spec
        if text in spec.closed_dates:
            return []
        special = [(e.from_minute * 60, e.to_minute * 60) for e in spec.exceptions if e.date == text]
        if special:
            return special
        if text not in spec.open_dates:
            for country in filter(None, (spec.holidays_country, *spec.more_countries)):
                name, _, part = country.partition("-")
                if on in holidays.country_holidays(name, subdiv=part or None, years=on.year):
                    return []
        return [(h.from_minute * 60, h.to_minute * 60) for h in spec.hours if h.weekday == on.weekday()]


class Minutes:
    """Stored results, so that thousands of questions about the same days need one walk."""

    def __init__(self, start_s: int, is_open: list[bool]) -> None:
        self.start_s = start_s
        self.count = len(is_open)
        self._before = list(accumulate(is_open, initial=0))  # open minutes before each minute

    def elapsed(self, from_minute: int, to_minute: int) -> int:
        """Return the open minutes between two minutes of the window."""
        return self._before[to_minute] - self._before[from_minute]

    def add(self, from_minute: int, minutes: int) -> int | None:
        """Return the first minute before which `minutes` open minutes have passed; None beyond the window."""
        if minutes == 0:
            return from_minute
        at = bisect_left(self._before, self._before[from_minute] + minutes)
        return at if at <= self.count else None


def in_zone(zone: str, text: str) -> int:
    """Return the Unix seconds of a local time (the first of two, where clocks go back)."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())
