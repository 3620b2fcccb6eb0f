"""Jalali dates agree with Iran's official calendar."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.jalali import JalaliDay


@pytest.mark.parametrize(
    ("jalali", "gregorian"),
    [
        ((1357, 11, 22), date(1979, 2, 11)),  # the day of the revolution, a well-known date
        ((1399, 12, 30), date(2021, 3, 20)),  # the last day of a leap year
        ((1400, 1, 1), date(2021, 3, 21)),
        ((1403, 12, 30), date(2025, 3, 20)),
        ((1405, 9, 6), date(2026, 11, 27)),
    ],
)
def test_known_days(jalali: tuple[int, int, int], gregorian: date) -> None:
    """In both directions."""
    assert JalaliDay.of(gregorian) == jalali
    assert JalaliDay(*jalali).gregorian() == gregorian


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_every_day_comes_back_and_days_follow_each_other(day: date) -> None:
    """The text sorts in the order of the days."""
    found = JalaliDay.of(day)
    assert found.gregorian() == day
    assert str(found) < str(JalaliDay.of(day + timedelta(days=1)))


@pytest.mark.parametrize("day", [(1404, 12, 30), (1405, 7, 31), (1405, 13, 1), (1405, 0, 1), (0, 1, 1)])
def test_a_day_that_the_calendar_does_not_have_is_refused(day: tuple[int, int, int]) -> None:
    """The months of the second half of the year have 30 days, and a common year ends with day 29."""
    with pytest.raises(ValueError, match=r"\w"):
        JalaliDay(*day).gregorian()


def test_the_text_is_padded() -> None:
    """The command line prints and reads this form."""
    assert str(JalaliDay(1405, 9, 6)) == "1405/09/06"
