"""Reads the Date header of a mail."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from services.ingest.domain.normalise.json_body import seconds_to_ms

_LONGEST: Final = 100
_EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)


def sent_at_ms(value: str) -> int:
    """Return the time in a Date header, in ms since the epoch; 0 when it states no plausible time. A time without a zone
    (also `-0000`) is UTC."""
    try:
        sent = parsedate_to_datetime(value[:_LONGEST])
        sent = sent if sent.tzinfo is not None else sent.replace(tzinfo=UTC)
        return seconds_to_ms(sent.timestamp()) if sent >= _EARLIEST else 0
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0
