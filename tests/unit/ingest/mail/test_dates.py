"""The time at which a mail was sent, as its Date header states it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.normalise.mail.dates import sent_at_ms
from services.ingest.domain.normalise.mail.mail import parse_mail


@pytest.mark.parametrize(
    ("date", "sent"),
    [
        ("Sat, 21 Mar 2026 12:00:00 +0330", 1_774_081_800_000),
        ("21 Mar 2026 12:00:00 +0330", 1_774_081_800_000),
        ("Sat, 21 Mar 2026 08:30:00 GMT", 1_774_081_800_000),
        ("Sat, 21 Mar 2026 08:30:00 -0000", 1_774_081_800_000),
        ("Sat, 21 Mar 2026 12:00:00 +0330 (Iran Standard Time)", 1_774_081_800_000),
        ("Tue, 01 Jan 1980 00:00:00 +0000", 0),
        ("Sat, 32 Mar 2026 08:30:00 GMT", 0),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_the_date_is_the_time_of_sending(date: str, sent: int) -> None:
    """With any zone and with comments. A time that is not plausible is not known."""
    raw = f"From: a@b.example\r\nDate: {date}\r\n\r\nhello".encode()
    assert sent_at_ms(date) == sent
    assert parse_mail(raw, "a@b.example", "help@shop.example", lambda _: None).sent_at_ms == sent


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ Mar \d+ \d+:\d+:\d+ [+-]\d+"))
def test_any_date_gives_a_time_or_0(date: str) -> None:
    """A sender writes whatever they want."""
    assert sent_at_ms(date) >= 0
