"""Parsing and formatting of times as people write them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.cli.moments import parse_moment, shown

TEHRAN = ZoneInfo("Asia/Tehran")
NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-27", "2026-11-26T20:30:00+00:00"),
        ("2026-11-27T08:00", "2026-11-27T04:30:00+00:00"),
        ("2026-11-27T08:00+01:00", "2026-11-27T07:00:00+00:00"),
        ("1405/09/06", "2026-11-26T20:30:00+00:00"),
        ("1405-9-6 08:00", "2026-11-27T04:30:00+00:00"),
        ("۱۴۰۵/۹/۶", "2026-11-26T20:30:00+00:00"),
        ("24h", "2026-11-26T10:00:00+00:00"),
        ("7d", "2026-11-20T10:00:00+00:00"),
        ("now", "2026-11-27T10:00:00+00:00"),
    ],
)
def test_accepted_times(text: str, wanted: str) -> None:
    """Days begin in the given zone; Persian digits and the Jalali calendar are accepted."""
    assert parse_moment(text, NOW, TEHRAN).isoformat() == wanted


@pytest.mark.parametrize("text", ["", "yesterday", "1405/13/01", "2026-02-30", "99999999999999999d", "7"])
def test_refused_times(text: str) -> None:
    """The error shows the accepted forms."""
    with pytest.raises(ValueError, match=r"is not a (time|day)"):
        parse_moment(text, NOW, TEHRAN)


def test_times_are_shown_in_either_calendar() -> None:
    assert shown(NOW, TEHRAN, jalali=True) == "1405/09/06 13:30"
    assert shown(NOW, TEHRAN, jalali=False, with_time=False) == "2026-11-27"
