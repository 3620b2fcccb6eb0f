"""Hours and days of measures in various time zones."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from services.sla.adapters.periods import beginnings, zone


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("where", "at", "hour", "day"),
    [
        ("UTC", "2026-11-27T10:40+00:00", "2026-11-27T10:00+00:00", "2026-11-27T00:00+00:00"),
        # An offset of half an hour, and a day different from UTC's.
        ("Asia/Tehran", "2026-11-26T20:40+00:00", "2026-11-26T20:30+00:00", "2026-11-26T20:30+00:00"),
        # The hour between 01:00 and 02:00 comes twice when clocks go back, and counts as two hours; the day has 25 of
        # them.
        ("Europe/Berlin", "2026-10-25T00:30+00:00", "2026-10-25T00:00+00:00", "2026-10-24T22:00+00:00"),
        ("Europe/Berlin", "2026-10-25T01:30+00:00", "2026-10-25T01:00+00:00", "2026-10-24T22:00+00:00"),
        ("Europe/Berlin", "2026-10-25T22:59+00:00", "2026-10-25T22:00+00:00", "2026-10-24T22:00+00:00"),
    ],
)
def test_when_an_hour_and_a_day_begin(where: str, at: str, hour: str, day: str) -> None:
    assert beginnings(ZoneInfo(where), days=False)(ms(at)) == ms(hour)
    assert beginnings(ZoneInfo(where), days=True)(ms(at)) == ms(day)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "x" * 1000])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no IANA time zone"):
        zone(name)
