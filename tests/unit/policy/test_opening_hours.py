"""Opening hours: open or closed now, and the next opening, against a walk over every minute."""

from datetime import UTC, datetime
from itertools import chain
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.config.v1 import config_pb2
from services.policy.findings import Findings
from services.policy.model.business_time import MOST_MS_TO_OPENING, NEVER_MS, OpeningHours, next_open_of_all
from services.policy.model.calendars import CalendarSpec, ExceptionalHours, OpenHours
from services.policy.model.opening_hours import Closed
from services.policy.reading.business_calendar import year_of
from services.policy.reading.open_years import OpenYears
from services.policy.reading.opening_hours import read_opening_hours
from tests.unit.sla.oracle import WallClock, in_zone
from tests.unit.sla.test_calendar_oracle import a_calendar

_DAYS: Final = 12
IRAN: Final = CalendarSpec(
    "Asia/Tehran",
    (*(OpenHours(day, 8 * 60, 16 * 60) for day in (5, 6, 0, 1, 2)), OpenHours(3, 8 * 60, 12 * 60)),
    "IR",
)
LAST_OPEN_IN_JANUARY: Final = CalendarSpec("UTC", (), exceptions=(ExceptionalHours("2026-01-05", 480, 600),))


def opening(spec: CalendarSpec) -> OpeningHours:
    """Return a calendar that has not been asked before."""
    return OpeningHours(OpenYears(spec), year_of)


def at(text: str, zone: str = "Asia/Tehran") -> int:
    """Return milliseconds of a local time."""
    return in_zone(zone, text) * 1000


class EveryMinute:
    """The next opening by looking at the wall clock of each calendar in each minute."""

    def __init__(self, specs: list[CalendarSpec]) -> None:
        self._walls = [WallClock(spec) for spec in specs]

    def next_open(self, at_s: int) -> int | None:
        """Return the first open second at or after a second; None if there is none for some days. Hours begin at whole minutes."""
        seconds = chain([at_s], range(at_s - at_s % 60 + 60, at_s + _DAYS * 86_400, 60))
        return next((at_s for at_s in seconds if all(wall.is_open(at_s) for wall in self._walls)), None)


@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(1, 2), st.integers(0, 30 * 86_400))
def test_the_next_opening_is_that_of_a_walk_over_every_minute(draw: Random, count: int, later: int) -> None:
    """Of one calendar, or of two that must both be open: with holidays, split shifts, exceptions and clock changes."""
    drawn = [a_calendar(draw) for _ in range(count)]
    second = drawn[0][1] + later
    specs = [spec for spec, _ in drawn]
    found = next_open_of_all([opening(spec) for spec in specs], second * 1000)
    expected = EveryMinute(specs).next_open(second)
    if expected is None:
        assert found is None or found >= (second + _DAYS * 86_400 - 60) * 1000
    else:
        assert found == expected * 1000


@settings(max_examples=100)
@given(st.randoms(use_true_random=False), st.integers(0, 40 * 86_400_000))
def test_what_is_open_has_open_time_and_what_is_closed_has_none(draw: Random, later: int) -> None:
    """`next_open` agrees with the arithmetic of deadlines, to the millisecond."""
    spec, start = a_calendar(draw)
    now = start * 1000 + later
    calendar = opening(spec)
    opens = calendar.next_open(now)
    if opens is None:
        assert calendar.elapsed(now, now + MOST_MS_TO_OPENING) == 0
    else:
        assert calendar.elapsed(now, opens) == 0
        assert calendar.elapsed(opens, opens + 1) == 1
        assert calendar.next_open(opens) == opens


class TestExamples:
    def test_on_friday_evening_the_next_opening_is_saturday_at_eight(self) -> None:
        """The bank's Friday, 4 December 2026, at 21:57."""
        assert opening(IRAN).next_open(at("2026-12-04T21:57")) == at("2026-12-05T08:00")

    def test_the_first_and_the_last_millisecond(self) -> None:
        calendar = opening(IRAN)
        begin, end = at("2026-12-05T08:00"), at("2026-12-05T16:00")
        assert calendar.next_open(begin - 1) == begin
        assert calendar.next_open(begin) == begin
        assert calendar.next_open(end - 1) == end - 1
        assert calendar.next_open(end) == at("2026-12-06T08:00")

    def test_nowruz_is_passed_over(self) -> None:
        """From Thursday noon before Nowruz 1405: Friday, the new year and its holidays are closed."""
        found = opening(IRAN).next_open(at("2026-03-19T12:00"))
        assert found == at("2026-03-25T08:00")

    def test_the_skipped_hour_opens_when_the_clocks_have_gone_forward(self) -> None:
        """New York, 8 March 2026: there is no 02:30, so hours from 02:30 to 04:00 begin at 03:00."""
        spec = CalendarSpec("America/New_York", (OpenHours(6, 150, 240),))
        found = opening(spec).next_open(at("2026-03-08T00:00", "America/New_York"))
        assert found == at("2026-03-08T03:00", "America/New_York")

    def test_the_repeated_hour_opens_twice(self) -> None:
        """New York, 1 November 2026: 01:00 to 01:30 comes twice, with a closed half hour in between."""
        calendar = opening(CalendarSpec("America/New_York", (OpenHours(6, 60, 90),)))
        first = at("2026-11-01T01:00", "America/New_York")
        assert calendar.next_open(first) == first
        assert calendar.next_open(first + 30 * 60_000) == first + 3_600_000

    def test_hours_over_midnight_and_the_turn_of_the_year(self) -> None:
        calendar = opening(CalendarSpec("UTC", tuple(OpenHours(day, 0, 1440) for day in range(7))))
        midnight = at("2027-01-01T00:00", "UTC")
        assert calendar.next_open(midnight - 1) == midnight - 1
        assert calendar.next_open(midnight) == midnight

    def test_without_a_calendar_it_is_always_open(self) -> None:
        assert next_open_of_all([], 5) == 5

    def test_two_calendars_that_take_turns(self) -> None:
        """One opens at 8 and at 14, the other at 10: both are open at 14, not when the second one opens."""
        shifts = opening(
            CalendarSpec("UTC", tuple(OpenHours(day, *h) for day in range(7) for h in ((480, 600), (840, 960))))
        )
        days = opening(CalendarSpec("UTC", tuple(OpenHours(day, 600, 960) for day in range(7))))
        found = next_open_of_all([shifts, days], at("2026-12-04T01:00", "UTC"))
        assert found == at("2026-12-04T14:00", "UTC")

    def test_two_calendars_that_are_never_open_together(self) -> None:
        """The search ends after a year."""
        mornings = opening(CalendarSpec("UTC", tuple(OpenHours(day, 480, 720) for day in range(7))))
        evenings = opening(CalendarSpec("UTC", tuple(OpenHours(day, 720, 960) for day in range(7))))
        assert next_open_of_all([mornings, evenings], at("2026-12-04T21:57")) is None

    def test_an_opening_later_than_a_year_is_none(self) -> None:
        calendar = opening(CalendarSpec("UTC", (), exceptions=(ExceptionalHours("2027-12-20", 480, 600),)))
        assert calendar.next_open(at("2026-12-04T21:57")) is None
        assert calendar.next_open(at("2027-02-04T21:57")) == at("2027-12-20T08:00", "UTC")


class TestACalendarThatNeverOpensAgain:
    def test_it_says_so(self) -> None:
        assert opening(LAST_OPEN_IN_JANUARY).next_open(at("2026-12-04T21:57")) is None

    def test_asking_again_builds_no_further_years(self) -> None:
        """Each question once built sixty further years, and the 132nd one failed beyond the year 9999."""
        built: list[int] = []
        years = OpenYears(LAST_OPEN_IN_JANUARY)

        def counted(year: int) -> list[tuple[int, int]]:
            built.append(year)
            return years(year)

        calendar = OpeningHours(counted, year_of)
        now = at("2026-12-04T21:57")
        assert calendar.add(now, 1) == NEVER_MS
        first = len(built)
        assert [calendar.add(now, 1) for _ in range(200)] == [NEVER_MS] * 200
        assert len(built) == first < 70


def a_configuration() -> config_pb2.TenantConfiguration:
    """A queue and an account with hours, and one of each without."""
    made = config_pb2.TenantConfiguration(tenant="bank", time_zone="Asia/Tehran")
    office = made.calendars.add(name="office")
    office.hours.add(days=["sat", "sun"], to="16:00", **{"from": "08:00"})
    chats = made.calendars.add(name="chats")
    chats.hours.add(days=["sat", "sun", "fri"], to="14:00", **{"from": "10:00"})
    made.queues.add(name="loans", hours="office")
    made.queues.add(name="cards")
    made.channels.add(channel="webchat", account="site", hours="chats")
    made.channels.add(channel="email", account="help")
    return made


class TestAConfiguration:
    def test_queue_and_account_must_both_be_open(self) -> None:
        """On Saturday the queue opens at 8, and the chat at 10."""
        hours = read_opening_hours(a_configuration(), Findings())
        friday = at("2026-12-04T21:57")
        assert hours.closed("loans", "webchat", "site", friday) == Closed(at("2026-12-05T10:00"))
        assert hours.closed("loans", "email", "help", friday) == Closed(at("2026-12-05T08:00"))
        assert hours.closed("cards", "webchat", "site", friday) == Closed(at("2026-12-05T10:00"))
        assert hours.closed("cards", "email", "help", friday) is None
        assert hours.closed("loans", "webchat", "site", at("2026-12-05T10:00")) is None

    def test_open_now(self) -> None:
        hours = read_opening_hours(a_configuration(), Findings())
        noon = at("2026-12-04T12:00")
        assert [hours.queue_open(queue, noon) for queue in ("loans", "cards", "unknown")] == [False, True, True]
        assert hours.account_open("webchat", "site", noon)
        assert not hours.account_open("webchat", "site", at("2026-12-04T21:57"))

    def test_an_unknown_calendar_is_refused_and_an_unusable_one_leaves_the_queue_open(self) -> None:
        configuration = a_configuration()
        configuration.queues[0].hours = "offices"
        configuration.channels[0].hours = "nights"
        configuration.calendars.add(name="nights", time_zone="Mars/Olympus").hours.add(
            days=["sat"], to="16:00", **{"from": "08:00"}
        )
        findings = Findings()
        hours = read_opening_hours(configuration, findings)
        found = [(each.code, each.path) for each in findings.errors]
        assert found == [("CALENDAR", ("calendars",)), ("UNKNOWN_CALENDAR", ("queues", 0, "hours"))]
        assert hours.closed("loans", "webchat", "site", at("2026-12-04T21:57")) is None


@pytest.mark.parametrize(
    ("opens", "now", "language", "shown"),
    [
        ("2026-12-05T08:00", "2026-12-04T21:57", "en", "Saturday, 5 December, at 08:00"),
        ("2026-12-05T08:00", "2026-12-04T21:57", "en-GB", "Saturday, 5 December, at 08:00"),
        ("2026-12-05T08:00", "2026-12-04T21:57", "fa", "شنبه ۱۴ آذر ساعت ۸:۰۰"),
        ("2026-12-05T13:30", "2026-12-04T21:57", "fa-IR", "شنبه ۱۴ آذر ساعت ۱۳:۳۰"),
        ("2027-01-02T08:00", "2026-12-31T21:57", "en", "Saturday, 2 January 2027, at 08:00"),
        ("2027-01-02T08:00", "2026-12-31T21:57", "fa", "شنبه ۱۲ دی ساعت ۸:۰۰"),
        ("2027-03-27T08:00", "2027-03-19T21:57", "en", "Saturday, 27 March, at 08:00"),
        ("2027-03-27T08:00", "2027-03-19T21:57", "fa", "شنبه ۷ فروردین ۱۴۰۶ ساعت ۸:۰۰"),
        ("2026-12-05T08:00", "2026-12-04T21:57", "de", "2026-12-05 08:00"),
    ],
)
def test_an_opening_in_the_customers_language_and_calendar(opens: str, now: str, language: str, shown: str) -> None:
    """The year is said only where it is not this one: that of the Jalali calendar for readers of Persian."""
    hours = read_opening_hours(a_configuration(), Findings())
    assert hours.shown(at(opens), at(now), language) == shown


def test_openings_are_shown_in_the_tenants_time_zone() -> None:
    """The zone of a calendar says when it is open, not where the customer is."""
    configuration = a_configuration()
    configuration.calendars[0].time_zone = "Europe/Berlin"
    hours = read_opening_hours(configuration, Findings())
    closed = hours.closed("loans", "email", "help", int(datetime(2026, 12, 4, 18, tzinfo=UTC).timestamp() * 1000))
    assert closed is not None
    assert closed.opens_at_ms == at("2026-12-05T08:00", "Europe/Berlin")
    assert hours.shown(closed.opens_at_ms, closed.opens_at_ms, "en") == "Saturday, 5 December, at 10:30"
