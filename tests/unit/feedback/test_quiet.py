"""Quiet hours, compared with the wall clock minute by minute."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.model.quiet_hours import Quiet, minute_of_day

MINUTE = 60_000
# Days on which clocks are changed, by an hour or by half of one, in spring and in autumn; and an ordinary one in
# Tehran.
DAYS = [
    ("America/New_York", (2026, 3, 8)),
    ("America/New_York", (2026, 11, 1)),
    ("Europe/London", (2026, 3, 29)),
    ("Europe/London", (2026, 10, 25)),
    ("Australia/Lord_Howe", (2026, 4, 5)),
    ("Australia/Lord_Howe", (2026, 10, 4)),
    ("Asia/Tehran", (2022, 3, 22)),
    ("Asia/Tehran", (2026, 3, 21)),
    ("America/Santiago", (2026, 9, 6)),  # midnight itself is skipped
]


def brute(quiet: Quiet, at_ms: int, zone: ZoneInfo) -> int:
    def shown(ms: int) -> int:
        wall = datetime.fromtimestamp(ms // 1000, zone)
        return wall.hour * 60 + wall.minute

    def holds(ms: int) -> bool:
        if quiet.start < quiet.stop:
            return quiet.start <= shown(ms) < quiet.stop
        return not quiet.stop <= shown(ms) < quiet.start

    while holds(at_ms):
        at_ms += MINUTE - at_ms % MINUTE
    return at_ms


@settings(max_examples=150)
@given(
    st.sampled_from(DAYS),
    st.integers(-24 * 60, 30 * 60),
    st.integers(0, 59_999),
    st.one_of(st.integers(0, 1439), st.integers(0, 4 * 60)),
    st.one_of(st.integers(0, 1439), st.integers(0, 4 * 60)),
)
def test_the_end_is_the_first_minute_that_is_not_quiet(
    day: tuple[str, tuple[int, int, int]], minutes: int, rest: int, start: int, stop: int
) -> None:
    """This holds around clock changes too: a repeated time is quiet twice, a skipped end comes with the jump."""
    if start == stop:
        return
    zone = ZoneInfo(day[0])
    at_ms = round(datetime(*day[1], tzinfo=zone).timestamp() * 1000) + minutes * MINUTE + rest
    quiet = Quiet(start, stop)
    assert quiet.end(at_ms, zone) == brute(quiet, at_ms, zone)


def test_an_evening_in_tehran_ends_in_the_morning() -> None:
    """22:30 on the day before Nowruz until 08:00 on Nowruz; 21:59 and 08:00 are not quiet."""
    zone = ZoneInfo("Asia/Tehran")
    quiet = Quiet(minute_of_day("22:00"), minute_of_day("08:00"))

    def at(day: int, hour: int, minute: int = 0) -> int:
        return round(datetime(2026, 3, day, hour, minute, tzinfo=zone).timestamp() * 1000)

    assert quiet.end(at(20, 22, 30), zone) == at(21, 8)
    assert quiet.end(at(20, 21, 59), zone) == at(20, 21, 59)
    assert quiet.end(at(21, 8), zone) == at(21, 8)


@pytest.mark.parametrize("text", ["", "8:00", "24:00", "08:60", "08-00", "۰۸:۰۰", "08:00:00"])
def test_a_text_that_is_not_a_time_of_day_is_refused(text: str) -> None:
    """Only HH:MM is accepted."""
    with pytest.raises(ValueError, match="HH:MM"):
        minute_of_day(text)
