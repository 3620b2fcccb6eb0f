"""Windows and their names."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.feedback.domain import windows
from services.feedback.domain.windows import Window
from services.policy.findings import Findings
from services.policy.reading.counting import first_weekday

TEHRAN = ZoneInfo("Asia/Tehran")
SATURDAY, MONDAY = 5, 0


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1000


def test_a_day_is_in_the_tenants_zone_and_a_minute_in_utc() -> None:
    """Half past nine in the evening of UTC is the next day in Tehran."""
    late = at("2026-03-20T21:30:00+00:00")
    assert windows.day(late, TEHRAN) == "2026-03-21"
    assert windows.hour(late) == "2026-03-20T21Z"
    assert windows.minute(late) == "2026-03-20T21:30Z"


@pytest.mark.parametrize(
    ("day", "begins", "week"),
    [
        ("2026-03-20", SATURDAY, "2026-03-14/P7D"),  # a Friday: the last day of Iran's week
        ("2026-03-21", SATURDAY, "2026-03-21/P7D"),  # Nowruz, a Saturday
        ("2026-03-21", MONDAY, "2026-03-16/P7D"),
        ("2026-03-16", MONDAY, "2026-03-16/P7D"),
    ],
)
def test_a_week_begins_on_the_tenants_first_day(day: str, begins: int, week: str) -> None:
    """Saturday in Iran, Monday elsewhere."""
    assert windows.week(day, begins) == week
    assert day in list(windows.days_of(week))


def test_the_first_day_is_configured_or_follows_the_zone() -> None:
    """Saturday in Iran and Afghanistan, Monday elsewhere; a word that is not a day is refused."""
    findings = Findings()
    assert first_weekday("", "Asia/Tehran", findings) == first_weekday("sat", "Europe/Berlin", findings) == SATURDAY
    assert first_weekday("", "Europe/Berlin", findings) == MONDAY
    assert findings.found == ()
    first_weekday("someday", "", findings)
    assert [finding.code for finding in findings.errors] == ["WEEKDAY"]


def test_a_day_of_25_hours_has_25() -> None:
    """On the day when clocks go back."""
    begin, end = windows.bounds_ms("2026-10-25", ZoneInfo("Europe/Berlin"))
    assert end - begin == 25 * windows.HOUR_MS


@settings(max_examples=100)
@given(st.integers(0, 4_000_000_000_000), st.sampled_from([TEHRAN, UTC]), st.integers(0, 6))
def test_every_instant_is_in_its_window_and_windows_join(at_ms: int, zone: ZoneInfo, begins: int) -> None:
    """The window before ends where this one begins."""
    for sort in (Window.MINUTE, Window.HOUR, Window.DAY, Window.WEEK):
        name = windows.named(sort, at_ms, zone, begins)
        begin_ms, end_ms = windows.bounds_ms(name, zone)
        assert begin_ms <= at_ms < end_ms
        assert windows.kind_of(name) is sort
        assert windows.bounds_ms(windows.before(name, zone, begins), zone)[1] == begin_ms


def test_unknown_window_names_are_refused_and_never_expire() -> None:
    """A newer version's window is kept, not guessed."""
    with pytest.raises(ValueError, match="is not the name of a window"):
        windows.kind_of("2026")
    assert windows.leaves_ms("2026") is None
    assert windows.leaves_ms("") is None
    assert windows.leaves_ms("2026-03-21T10:05Z") == at("2026-03-23T10:05:00+00:00")
