"""Hours and days in a zone of the world."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def zone(name: str) -> ZoneInfo:
    """Raises ValueError for what is no zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no IANA time zone is called {name[:64]!r}") from error


def beginnings(where: ZoneInfo, *, days: bool) -> Callable[[int], int]:
    """When the hour (or day) in which an instant lies begins; milliseconds. A repeated hour is two."""

    @lru_cache(maxsize=4096)
    def begins(at_ms: int) -> int:
        local = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(where)
        if not days:
            # By subtraction in UTC: the wall's arithmetic knows the first of two repeated hours only.
            return (at_ms // 1000 - local.minute * 60 - local.second) * 1000
        return round(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp()) * 1000

    return begins
