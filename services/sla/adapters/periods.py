"""Hours and days in a time zone."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def zone(name: str) -> ZoneInfo:
    """Return a time zone. Raises ValueError for an unknown name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no IANA time zone {name[:64]!r}") from error


def beginnings(where: ZoneInfo, *, days: bool) -> Callable[[int], int]:
    """Return a function that returns when the hour (or day) begins in which an instant lies; milliseconds. A
    repeated hour counts as two."""

    @lru_cache(maxsize=4096)
    def begins(at_ms: int) -> int:
        local = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(where)
        if not days:
            # Subtract in UTC: wall-clock arithmetic knows only the first of two repeated hours.
            return (at_ms // 1000 - local.minute * 60 - local.second) * 1000
        return round(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp()) * 1000

    return begins
