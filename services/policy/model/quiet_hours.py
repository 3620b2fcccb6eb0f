"""Hours of the day in which no invitation is sent, in the tenant's zone.

Whether an instant is quiet depends on the wall clock, also through daylight saving: an hour that comes twice is quiet
twice, and an end that is skipped comes with the jump.
"""

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo

_MINUTE_MS = 60_000
_DAY_MINUTES = 24 * 60
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def minute_of_day(text: str) -> int:
    """Return the minutes since midnight of "HH:MM". Raises ValueError."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError("a time of day must be written HH:MM")
    return int(found[1]) * 60 + int(found[2])


@dataclass(frozen=True, slots=True)
class Quiet:
    """From minute `start` of the day until minute `stop`, over midnight if `stop` is earlier. They differ, or no
    hour would be left."""

    start: int
    stop: int

    def holds(self, at_ms: int, zone: tzinfo) -> bool:
        """Return whether the instant is quiet."""
        local = datetime.fromtimestamp(at_ms // 1000, zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.stop:
            return self.start <= minute < self.stop
        return minute >= self.start or minute < self.stop

    def end(self, at_ms: int, zone: tzinfo) -> int:
        """Return the first instant from `at_ms` on that is not quiet: itself, or a full minute."""
        if not self.holds(at_ms, zone):
            return at_ms
        local = datetime.fromtimestamp(at_ms // 1000, zone)
        minute_ms = at_ms - at_ms % _MINUTE_MS
        end_ms = minute_ms + (self.stop - local.hour * 60 - local.minute) % _DAY_MINUTES * _MINUTE_MS
        if datetime.fromtimestamp(end_ms // 1000, zone).utcoffset() == local.utcoffset():
            return end_ms
        # The clock is changed in between, which happens on two days of the year: check every minute.
        while self.holds(minute_ms, zone):
            minute_ms += _MINUTE_MS
        return minute_ms
