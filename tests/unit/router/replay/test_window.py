"""The values of --from and --to."""

from datetime import UTC, datetime

import pytest

from services.router.replay.window import At, Offset, Window, parse_bound

NOW = 1_700_000_000_000


def ms(text: str) -> int:
    """Return the milliseconds of a time with its zone."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("1204", Offset(1204)),
        ("۱۲۰۴", Offset(1204)),
        ("2h", At(NOW - 7_200_000)),
        ("۲h", At(NOW - 7_200_000)),
        ("1d12h", At(NOW - 129_600_000)),
        ("90s", At(NOW - 90_000)),
        ("2026-03-01T08:00Z", At(ms("2026-03-01T08:00+00:00"))),
        ("2026-03-01T08:00:00.250+03:30", At(ms("2026-03-01T08:00:00.250+03:30"))),
        ("۲۰۲۶-۰۳-۰۱T۰۸:۰۰Z", At(ms("2026-03-01T08:00+00:00"))),
        ("٢٠٢٦-٠٣-٠١T٠٨:٠٠Z", At(ms("2026-03-01T08:00+00:00"))),
        ("2026/03/01 08:00Z", At(ms("2026-03-01T08:00+00:00"))),
        ("۱۴۰۴/۱۲/۱۰T۰۸:۰۰Z", At(ms("2026-03-01T08:00+00:00"))),
        ("1404-12-10 08:00+03:30", At(ms("2026-03-01T08:00+03:30"))),
    ],
)
def test_times_times_ago_and_offsets(text: str, bound: At | Offset) -> None:
    """Persian and Arabic digits are digits, and a Jalali date is a date."""
    assert parse_bound(text, NOW) == bound


def test_a_time_without_a_zone_is_in_the_machines() -> None:
    """This is also how times are shown."""
    local = datetime(2026, 3, 1, 8, 0, tzinfo=UTC).astimezone().replace(tzinfo=None)
    assert parse_bound(local.isoformat(), NOW) == At(ms("2026-03-01T08:00+00:00"))


@pytest.mark.parametrize("text", ["", "soon", "2", "2h30", "h", "1404-13-40", "2026-02-30", "-5", "1h2d", "²h"])
def test_other_texts_are_refused_with_examples(text: str) -> None:
    """One sentence gives valid examples; "2" alone is an offset."""
    if text == "2":
        assert parse_bound(text, NOW) == Offset(2)
        return
    with pytest.raises(ValueError, match=r"a time ago \(2h, 1d12h\)"):
        parse_bound(text, NOW)


def test_a_window_is_half_open() -> None:
    """This holds for the clock, and for the offsets of a batch's commands."""
    by_time = Window(At(10), At(20))
    assert [by_time.has_begun(clock, 0) for clock in (9, 10, 30)] == [False, True, True]
    assert [by_time.is_over(clock, 0) for clock in (19, 20)] == [False, True]
    by_offset = Window(Offset(5), Offset(8))
    assert [by_offset.has_begun(0, after) for after in (5, 6)] == [False, True]
    assert [by_offset.is_over(0, first) for first in (7, 8)] == [False, True]
    assert by_time.begins_before(11, 0)
    assert not by_time.begins_before(10, 0)
    assert by_offset.begins_before(0, 6)
    assert not by_offset.begins_before(0, 5)
    assert not Window().begins_before(99, 99)
