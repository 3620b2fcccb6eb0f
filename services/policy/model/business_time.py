"""Business time.

The rule follows the wall clock: an instant is open if and only if a wall clock in the calendar's zone then shows a day
and a time within the opening hours. So when clocks go forward, opening hours inside the skipped hour do not exist; when
they go back, the repeated hour is open twice if it is open at all.

A calendar gets its open intervals (UTC, milliseconds) year by year from a source that is a pure function of the year.
It keeps them in three sorted arrays, so `add` and `elapsed` are binary searches. Zones and holidays belong to the
source (`services/policy/reading/open_years.py`), because reading them is I/O.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Final, Protocol

NEVER_MS: Final = 253_370_764_800_000
"""The first instant of the year 9999, later than any instant for which a calendar is asked."""
MOST_YEARS_AHEAD: Final = 60
_YEAR_MS: Final = 365 * 86_400_000
MOST_MS_TO_OPENING: Final = 366 * 86_400_000
"""The search for an opening ends here. A later opening is unknown."""

YearSource = Callable[[int], Sequence[tuple[int, int]]]
"""Returns the open intervals [from, to) of one UTC year: sorted, disjoint, clipped to the year."""


class BusinessTime(Protocol):
    """Arithmetic in the time in which a deadline runs."""

    def add(self, start_ms: int, duration_ms: int) -> int:
        """Return the earliest instant, not before `start_ms`, at which `duration_ms` of open time have passed since
        `start_ms`; NEVER_MS if there is none."""

    def elapsed(self, from_ms: int, to_ms: int) -> int:
        """Return the open milliseconds between two instants; 0 if the second is not later."""


class RoundTheClock:
    """A calendar that is always open."""

    def add(self, start_ms: int, duration_ms: int) -> int:
        """See BusinessTime."""
        return start_ms + duration_ms

    def elapsed(self, from_ms: int, to_ms: int) -> int:
        """See BusinessTime."""
        return max(0, to_ms - from_ms)


class OpeningHours:
    """A calendar that is open at intervals. `year_of` returns the UTC year of an instant (a pure function, passed in
    because the core knows no dates)."""

    def __init__(self, source: YearSource, year_of: Callable[[int], int]) -> None:
        self._source = source
        self._year_of = year_of
        self._first_year = 0  # covered: [first, last); empty when equal
        self._last_year = 0
        self._low_ms = NEVER_MS  # all instants asked for so far lie between these two, and are covered
        self._high_ms = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._passed: list[int] = []  # open time from the beginning of the covered range to the end of each interval

    def add(self, start_ms: int, duration_ms: int) -> int:
        """See BusinessTime."""
        if duration_ms <= 0:
            return start_ms
        self._cover(start_ms, start_ms + duration_ms)
        wanted = self._open_before(start_ms) + duration_ms
        # The last year is fixed: a calendar that never opens again does not grow with each call.
        last = self._year_of(start_ms) + MOST_YEARS_AHEAD
        while not self._passed or self._passed[-1] < wanted:
            if self._last_year > last:
                return NEVER_MS
            self._append(self._last_year)
        at = bisect_left(self._passed, wanted)
        return self._ends[at] - (self._passed[at] - wanted)

    def next_open(self, at_ms: int) -> int | None:
        """Return the earliest open instant, not before `at_ms`: the instant itself while it is open. None if there is
        none within `MOST_MS_TO_OPENING`."""
        self._cover(at_ms, at_ms + MOST_MS_TO_OPENING)
        at = bisect_right(self._ends, at_ms)
        if at == len(self._starts) or self._starts[at] > at_ms + MOST_MS_TO_OPENING:
            return None
        return max(at_ms, self._starts[at])

    def elapsed(self, from_ms: int, to_ms: int) -> int:
        """See BusinessTime."""
        if to_ms <= from_ms:
            return 0
        self._cover(from_ms, to_ms)
        return self._open_before(to_ms) - self._open_before(from_ms)

    def _open_before(self, at_ms: int) -> int:
        """Return the open time between the beginning of the covered range and an instant within it."""
        at = bisect_right(self._starts, at_ms) - 1
        if at < 0:
            return 0
        return self._passed[at] - max(0, self._ends[at] - at_ms)

    def _cover(self, from_ms: int, to_ms: int) -> None:
        if self._low_ms <= from_ms and to_ms <= self._high_ms:
            return
        first = self._year_of(from_ms)
        last = self._year_of(min(to_ms, NEVER_MS - 1, from_ms + MOST_YEARS_AHEAD * _YEAR_MS))
        if self._first_year == self._last_year:
            self._first_year = self._last_year = first
        if first < self._first_year:
            # Rare: an interaction that arrived before all interactions seen so far. The known years are built again, in
            # order.
            last = max(last, self._last_year - 1)
            self._starts, self._ends, self._passed = [], [], []
            self._first_year = self._last_year = first
        while self._last_year <= last:
            self._append(self._last_year)
        self._low_ms = min(self._low_ms, from_ms)
        self._high_ms = max(self._high_ms, min(to_ms, from_ms + MOST_YEARS_AHEAD * _YEAR_MS))

    def _append(self, year: int) -> None:
        passed = self._passed[-1] if self._passed else 0
        for start, end in self._source(year):
            passed += end - start
            if self._ends and self._ends[-1] == start:
                self._ends[-1] = end
                self._passed[-1] = passed
            else:
                self._starts.append(start)
                self._ends.append(end)
                self._passed.append(passed)
        self._last_year = year + 1


def next_open_of_all(calendars: Sequence[OpeningHours], at_ms: int) -> int | None:
    """Return the earliest instant, not before `at_ms`, at which all calendars are open; `at_ms` without any calendar.

    None if there is none within `MOST_MS_TO_OPENING`. Each round passes at least one open interval of a calendar.
    """
    opens = at_ms
    while opens <= at_ms + MOST_MS_TO_OPENING:
        before = opens
        for calendar in calendars:
            found = calendar.next_open(opens)
            if found is None:
                return None
            opens = found
        if opens == before:
            return opens
    return None
