"""Business time: exact to the second, through clock changes and holidays."""

import random
from dataclasses import replace
from functools import cache

import pytest

from services.policy.model.business_time import NEVER_MS, OpeningHours, RoundTheClock
from services.policy.model.calendars import CalendarSpec, ExceptionalHours, OpenHours
from services.policy.reading.business_calendar import year_of
from services.policy.reading.open_years import CalendarRefused, OpenYears
from tests.unit.sla.oracle import WallClock, in_zone

SATURDAY_TO_WEDNESDAY = (5, 6, 0, 1, 2)
IRAN = CalendarSpec(
    "Asia/Tehran",
    (*(OpenHours(day, 8 * 60, 16 * 60) for day in SATURDAY_TO_WEDNESDAY), OpenHours(3, 8 * 60, 12 * 60)),
    "IR",
)
BERLIN_SPLIT = CalendarSpec(
    "Europe/Berlin",
    tuple(OpenHours(day, *shift) for day in range(5) for shift in ((8 * 60, 12 * 60), (13 * 60 + 30, 18 * 60))),
    "DE",
    closed_dates=("2024-12-23",),
    open_dates=("2024-10-03",),
)
NEW_YORK_NIGHTS = CalendarSpec(
    "America/New_York", tuple(OpenHours(day, low, high) for day in range(7) for low, high in ((0, 180), (1320, 1440)))
)
LORD_HOWE = CalendarSpec("Australia/Lord_Howe", tuple(OpenHours(day, 90, 150) for day in range(7)))
ALWAYS = CalendarSpec("Africa/Casablanca", tuple(OpenHours(day, 0, 1440) for day in range(7)))
ODD_MINUTES = CalendarSpec("Asia/Kathmandu", tuple(OpenHours(day, 541, 1017) for day in (0, 2, 4)))
WINDOWS = {
    IRAN: ("2024-03-14", "2024-05-10", "2025-12-27"),
    BERLIN_SPLIT: ("2024-03-25", "2024-09-28", "2024-12-20", "2025-10-20"),
    NEW_YORK_NIGHTS: ("2024-03-04", "2025-10-27"),
    LORD_HOWE: ("2024-04-01", "2025-09-30"),
    ALWAYS: ("2024-03-05", "2024-04-08"),
    ODD_MINUTES: ("2024-12-26",),
}
ALL = tuple(WINDOWS)


@cache
def business_time(spec: CalendarSpec) -> OpeningHours:
    return OpeningHours(OpenYears(spec), year_of)


def tehran(text: str) -> int:
    return in_zone("Asia/Tehran", text) * 1000


class TestIransWeek:
    """Saturday to Wednesday all day, Thursday until noon, Friday closed."""

    def test_a_deadline_set_on_thursday_noon_is_due_on_saturday(self) -> None:
        """One hour from Thursday 11:30: half an hour on Thursday, half an hour on Saturday morning."""
        assert business_time(IRAN).add(tehran("2024-05-16T11:30"), 3_600_000) == tehran("2024-05-18T08:30")

    def test_time_used_up_exactly_at_closing_is_due_at_closing(self) -> None:
        """Not at the next opening: a reply given on Friday would be late."""
        assert business_time(IRAN).add(tehran("2024-05-16T11:30"), 1_800_000) == tehran("2024-05-16T12:00")

    def test_nowruz_is_closed(self) -> None:
        """Esfand 29th (oil nationalisation) and the days of Nowruz 1403 are not business days."""
        wednesday_after = business_time(IRAN).add(tehran("2024-03-18T15:00"), 2 * 3_600_000)
        assert wednesday_after > tehran("2024-03-23T00:00")
        assert business_time(IRAN).elapsed(tehran("2024-03-20T00:00"), tehran("2024-03-24T00:00")) == 0

    def test_a_friday_has_no_business_time(self) -> None:
        assert business_time(IRAN).elapsed(tehran("2024-05-17T00:00"), tehran("2024-05-18T00:00")) == 0


class TestClocksThatChange:
    """The wall clock decides."""

    def test_a_skipped_hour_is_not_open(self) -> None:
        """New York, 10 March 2024: 02:00 becomes 03:00, so the night shift until 03:00 has only two hours."""
        start = in_zone("America/New_York", "2024-03-10T00:00") * 1000
        end = in_zone("America/New_York", "2024-03-10T12:00") * 1000
        assert business_time(NEW_YORK_NIGHTS).elapsed(start, end) == 2 * 3_600_000

    def test_a_repeated_hour_is_open_twice(self) -> None:
        """New York, 3 November 2024: 01:00 to 02:00 comes twice, so the shift until 03:00 has four hours."""
        start = in_zone("America/New_York", "2024-11-03T00:00") * 1000
        end = in_zone("America/New_York", "2024-11-03T12:00") * 1000
        assert business_time(NEW_YORK_NIGHTS).elapsed(start, end) == 4 * 3_600_000

    def test_half_an_hour_of_daylight_saving(self) -> None:
        """Lord Howe, 7 April 2024: 02:00 becomes 01:30, so 01:30 to 02:30 takes ninety minutes."""
        start = in_zone("Australia/Lord_Howe", "2024-04-07T00:00") * 1000
        end = in_zone("Australia/Lord_Howe", "2024-04-07T12:00") * 1000
        assert business_time(LORD_HOWE).elapsed(start, end) == 90 * 60_000


class TestHolidays:
    """Holidays by country, which the operator can override."""

    def test_a_holiday_listed_as_open_date_is_open(self) -> None:
        """German Unity Day 2024 is an open date, Christmas is not, and 23 December is closed in addition."""
        time = business_time(BERLIN_SPLIT)

        def hours_on(day: str) -> float:
            start = in_zone("Europe/Berlin", f"{day}T00:00") * 1000
            return time.elapsed(start, start + 86_400_000) / 3_600_000

        assert (hours_on("2024-10-03"), hours_on("2024-12-25"), hours_on("2024-12-23")) == (8.5, 0, 0)

    def test_exceptional_hours_replace_the_week_and_override_a_holiday(self) -> None:
        """The last working day before Nowruz is short, its first day (a holiday) is open for two hours in two shifts."""
        spec = replace(
            IRAN,
            exceptions=(
                ExceptionalHours("2026-03-19", 8 * 60, 10 * 60),
                ExceptionalHours("2026-03-21", 9 * 60, 10 * 60),
                ExceptionalHours("2026-03-21", 15 * 60, 16 * 60),
            ),
        )
        time = business_time(spec)

        def minutes_on(day: str) -> int:
            return time.elapsed(tehran(f"{day}T00:00"), tehran(f"{day}T23:59")) // 60_000

        assert [minutes_on(day) for day in ("2026-03-18", "2026-03-19", "2026-03-21", "2026-03-22")] == [
            480,
            120,
            120,
            0,
        ]

    def test_a_closed_date_overrides_exceptional_hours(self) -> None:
        spec = replace(IRAN, closed_dates=("2026-03-18",), exceptions=(ExceptionalHours("2026-03-18", 0, 60),))
        day = tehran("2026-03-18T00:00")
        assert business_time(spec).elapsed(day, day + 86_400_000) == 0

    def test_several_countries_and_parts_of_them(self) -> None:
        """Epiphany is a holiday in Bavaria, not in Berlin; the fourth of July in the United States."""
        office = CalendarSpec("UTC", tuple(OpenHours(day, 0, 60) for day in range(7)), "DE")

        def open_on(spec: CalendarSpec, day: str) -> bool:
            start = in_zone("UTC", f"{day}T00:00") * 1000
            return business_time(spec).elapsed(start, start + 86_400_000) > 0

        both = replace(office, holidays_country="DE-BY", more_countries=("US",))
        assert [open_on(spec, "2026-01-06") for spec in (office, both)] == [True, False]
        assert [open_on(spec, "2025-07-04") for spec in (office, both)] == [True, False]

    def test_a_closed_date_overrides_an_open_date(self) -> None:
        spec = CalendarSpec("UTC", (OpenHours(0, 0, 1440),), closed_dates=("2024-05-06",), open_dates=("2024-05-06",))
        monday = in_zone("UTC", "2024-05-06T00:00") * 1000
        assert business_time(spec).elapsed(monday, monday + 86_400_000) == 0


class TestAgainstTheWallClock:
    """The search in sorted intervals and the walk over every minute give the same results."""

    def test_5000_random_cases_by_the_minute(self) -> None:
        """In windows of a week around clock changes, Nowruz, the turn of the year and a normal week."""
        draw = random.Random(1403)
        windows = [
            (spec, WallClock(spec).minutes(in_zone("UTC", f"{day}T00:00"), 7))
            for spec, days in WINDOWS.items()
            for day in days
        ]
        asked = 0
        for number in range(8_500):
            spec, minutes = windows[number % len(windows)]
            time, at = business_time(spec), draw.randrange(minutes.count)
            start = minutes.start_s + at * 60
            if number % 2:
                duration = draw.randrange(0, 2_000)
                due = minutes.add(at, duration)
                if due is None:
                    continue  # beyond the days that were checked
                expected = (minutes.start_s + due * 60) * 1000
                assert time.add(start * 1000, duration * 60_000) == expected, (spec.zone, start, duration)
            else:
                to = draw.randrange(at, minutes.count)
                used = time.elapsed(start * 1000, (minutes.start_s + to * 60) * 1000)
                assert used == minutes.elapsed(at, to) * 60_000, (spec.zone, start, to)
            asked += 1
        assert asked >= 5_000

    def test_to_the_second(self) -> None:
        """Starts and durations that are not on a minute, in the night in which an hour comes twice."""
        draw = random.Random(7)
        wall, time = WallClock(NEW_YORK_NIGHTS), business_time(NEW_YORK_NIGHTS)
        for _ in range(12):
            start = in_zone("America/New_York", "2024-11-03T00:00") + draw.randrange(3 * 3600)
            seconds = draw.randrange(1, 3000)
            assert time.add(start * 1000, seconds * 1000) == wall.add(start, seconds) * 1000

    def test_adding_and_measuring_agree(self) -> None:
        """elapsed(start, add(start, d)) is d, and one millisecond less is less than d: the due time is the earliest one."""
        draw = random.Random(11)
        for number in range(1_000):
            time = business_time(ALL[number % len(ALL)])
            start = 1_700_000_000_000 + draw.randrange(100_000_000_000)
            duration = draw.randrange(1, 20 * 3_600_000)
            due = time.add(start, duration)
            assert time.elapsed(start, due) == duration
            assert time.elapsed(start, due - 1) == duration - 1


class TestEdges:
    def test_nothing_to_add_is_due_at_once_even_when_closed(self) -> None:
        friday = tehran("2024-05-17T10:00")
        assert business_time(IRAN).add(friday, 0) == friday

    def test_an_interaction_older_than_all_before(self) -> None:
        """A calendar that has grown into the future also answers for the past."""
        time = OpeningHours(OpenYears(IRAN), year_of)
        late = time.add(tehran("2026-05-16T08:00"), 3_600_000)
        assert time.elapsed(tehran("2022-05-14T07:00"), tehran("2022-05-14T09:00")) == 3_600_000
        assert time.add(tehran("2026-05-16T08:00"), 3_600_000) == late

    def test_more_than_a_lifetime_is_never_due(self) -> None:
        """One open minute a week, and a target of ten years of open time."""
        spec = CalendarSpec("UTC", (OpenHours(0, 0, 1),))
        assert business_time(spec).add(1_700_000_000_000, 10 * 365 * 86_400_000) == NEVER_MS

    def test_round_the_clock(self) -> None:
        assert (RoundTheClock().add(5, 7), RoundTheClock().elapsed(5, 12), RoundTheClock().elapsed(12, 5)) == (12, 7, 0)

    @pytest.mark.parametrize(
        ("spec", "says"),
        [
            (CalendarSpec("Mars/Olympus", (OpenHours(0, 0, 60),)), "Mars/Olympus"),
            (CalendarSpec("../../etc/passwd", (OpenHours(0, 0, 60),)), "time zone"),
            (CalendarSpec("UTC", ()), "never open"),
            (CalendarSpec("UTC", (OpenHours(0, 600, 540),)), "begin before they end"),
            (CalendarSpec("UTC", (OpenHours(0, 0, 60),), "XX"), "public holidays"),
            (CalendarSpec("UTC", (OpenHours(0, 0, 60),), "DE-ZZ"), "public holidays of 'DE-ZZ'"),
            (CalendarSpec("UTC", (OpenHours(0, 0, 60),), more_countries=("XX",)), "public holidays of 'XX'"),
            (CalendarSpec("UTC", (), exceptions=(ExceptionalHours("2026-03-18", 60, 60),)), "begin before they end"),
            (CalendarSpec("UTC", (OpenHours(0, 0, 60),), closed_dates=("1403-13-01",)), "not a date"),
        ],
    )
    def test_an_invalid_part_is_named_in_the_error(self, spec: CalendarSpec, says: str) -> None:
        with pytest.raises(CalendarRefused, match=says):
            OpenYears(spec)
