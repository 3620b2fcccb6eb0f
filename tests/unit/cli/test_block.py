"""When a block of `chapar block add` ends."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from services.cli.commands.block import _end

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def test_the_end_is_a_duration_or_a_time() -> None:
    """Without either, the service decides."""
    assert _end("", "", NOW) is None
    assert _end("30d", "", NOW) == NOW + timedelta(days=30)
    assert _end("", "2026-12-24T08:00+00:00", NOW) == datetime(2026, 12, 24, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lasts", "until"),
    [("30d", "2026-12-24"), ("soon", ""), ("", "soon"), ("", "12h"), ("", "now"), ("9" * 30 + "d", "")],
)
def test_what_is_no_end_is_refused(lasts: str, until: str) -> None:
    """A duration as `--until` would be a time in the past."""
    with pytest.raises(typer.BadParameter):
        _end(lasts, until, NOW)
