"""`chapar scores`: the format of windows and days."""

import pytest
import typer

from services.cli.commands.scores import _gregorian, window_name


@pytest.mark.parametrize(
    ("name", "shown", "in_iran"),
    [
        ("", "all time", "all time"),
        ("2026-03-21", "2026-03-21", "1405/01/01"),
        ("2026-03-21/P7D", "week of 2026-03-21", "week of 1405/01/01"),
        ("2026-03-21T10Z", "2026-03-21 10 UTC", "1405/01/01 10 UTC"),
        ("2026-03-21T10:05Z", "2026-03-21 10:05 UTC", "1405/01/01 10:05 UTC"),
    ],
)
def test_a_window_is_shown_in_the_requested_calendar(name: str, shown: str, in_iran: str) -> None:
    """Nowruz 1405 is 21 March 2026."""
    assert (window_name(name, False), window_name(name, True)) == (shown, in_iran)


def test_days_are_parsed_in_the_requested_calendar() -> None:
    """Other text is refused with an example of a day."""
    assert _gregorian("1405-01-01", True) == _gregorian("2026-03-21", False) == "2026-03-21"
    assert _gregorian("", True) == ""
    for text, jalali, example in (("1405-13-01", True, "1405-01-01"), ("yesterday", False, "2026-03-21")):
        with pytest.raises(typer.BadParameter, match=example):
            _gregorian(text, jalali)
