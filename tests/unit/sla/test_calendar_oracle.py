"""Business time against a walk over every minute: 100,000 random cases to the second, over calendars with every
possible part."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from services.policy.model.business_time import OpeningHours
from services.policy.model.calendars import CalendarSpec, ExceptionalHours, OpenHours
from services.policy.reading.business_calendar import year_of
from services.policy.reading.open_years import OpenYears
from tests.unit.sla.oracle import WallClock, in_zone

CASES: Final = 100_000
_DAYS: Final = 40
ZONES: Final = (
    "Asia/Tehran",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Pacific/Apia",
    "UTC",
)
COUNTRIES: Final = ("IR", "DE", "US", "AU", "DE-BY", "CA-NL", "")


class EveryMinute:
    """Open minutes before each minute of some days, each checked by itself; seconds belong to their minute. Hours
    are whole minutes, and so are the offsets of all zones today."""

    def __init__(self, spec: CalendarSpec, start_s: int) -> None:
        wall = WallClock(spec)
        looks = (wall.is_open(at) for at in range(start_s, start_s + _DAYS * 86_400, 60))
        self.start_s = start_s
        self.open: npt.NDArray[np.bool_] = np.fromiter(looks, dtype=np.bool_)
        self.before: npt.NDArray[np.int64] = np.concatenate(([0], np.cumsum(self.open))) * 60

    def used(self, second: int) -> int:
        """Return the open seconds from the beginning to a second."""
        minute, rest = divmod(second, 60)
        return int(self.before[minute]) + (rest if minute < len(self.open) and self.open[minute] else 0)

    def add(self, second: int, seconds: int) -> int | None:
        """Return the first second before which `seconds` open seconds have passed; None beyond the days that were
        checked."""
        if not seconds:
            return second
        wanted = self.used(second) + seconds
        minute = int(np.searchsorted(self.before, wanted))
        if minute >= len(self.before):
            return None
        return minute * 60 - (int(self.before[minute]) - wanted)


def a_calendar(draw: random.Random) -> tuple[CalendarSpec, int]:
    """Draw split shifts, some days of the week, holidays of zero, one or two countries, closed and open dates, and
    exceptional hours inside the checked days. These begin on any day of six years, so clock changes, turns of the
    year and leap days are among them."""
    begin = date(2021, 1, 1) + timedelta(days=draw.randrange(6 * 365))

    def some_date() -> str:
        return (begin + timedelta(days=draw.randrange(_DAYS))).isoformat()

    def shifts() -> list[tuple[int, int]]:
        ends = sorted(draw.sample(range(0, 1441, draw.choice((1, 15, 60))), 2 * draw.randrange(1, 4)))
        return list(zip(ends[::2], ends[1::2], strict=True))

    hours = tuple(OpenHours(day, *shift) for day in draw.sample(range(7), draw.randrange(1, 8)) for shift in shifts())
    exceptions = tuple(
        ExceptionalHours(on, *shift) for on in {some_date() for _ in range(draw.randrange(4))} for shift in shifts()
    )
    spec = CalendarSpec(
        draw.choice(ZONES),
        hours,
        draw.choice(COUNTRIES),
        tuple(some_date() for _ in range(draw.randrange(4))),
        tuple(some_date() for _ in range(draw.randrange(4))),
        exceptions,
        tuple(filter(None, (draw.choice(COUNTRIES),))) if draw.random() < 0.3 else (),
    )
    return spec, in_zone("UTC", begin.isoformat())


def compare(draw: random.Random, cases: int) -> tuple[int, int]:
    """Ask `cases` questions about one calendar; return how many were about adding, and how many about measuring."""
    spec, start_s = a_calendar(draw)
    slow, fast = EveryMinute(spec, start_s), OpeningHours(OpenYears(spec), year_of)
    last = _DAYS * 86_400
    added = measured = 0
    while added + measured < cases:
        at = draw.randrange(last - 1)
        if draw.random() < 0.5:
            seconds = draw.randrange(1, draw.choice((60, 7_200, 90_000, 400_000)))
            due = slow.add(at, seconds)
            if due is not None:
                added += 1
                found = fast.add((start_s + at) * 1000, seconds * 1000)
                assert found == (start_s + due) * 1000, (spec, datetime.fromtimestamp(start_s + at, UTC), seconds)
                continue
        to = draw.randrange(at, last)
        measured += 1
        used = fast.elapsed((start_s + at) * 1000, (start_s + to) * 1000)
        assert used == (slow.used(to) - slow.used(at)) * 1000, (
            spec,
            datetime.fromtimestamp(start_s + at, UTC),
            to - at,
        )
    return added, measured


def test_some_cases_by_every_minute() -> None:
    """A few calendars, for the quick run."""
    draw = random.Random(3)
    for _ in range(2):
        compare(draw, 500)


@pytest.mark.slow
def test_100000_cases_by_every_minute() -> None:
    """Thirty-two random calendars, 3,125 questions each; both kinds of question are asked often."""
    draw = random.Random(1404)
    asked = [compare(draw, CASES // 32) for _ in range(32)]
    added, measured = (sum(kind) for kind in zip(*asked, strict=True))
    assert added + measured == CASES
    assert min(added, measured) > CASES / 10
