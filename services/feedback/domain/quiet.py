"""Hours of the day in which nobody is written to, in the tenant's zone.

An instant is quiet by what the clock on the wall shows, whatever daylight saving does: an hour that comes twice is quiet twice, a time that is left
out ends with the jump over it.
"""

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo

_MINUTE_MS = 60_000
_DAY_MINUTES = 24 * 60
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def minute_of_day(text: str) -> int:
    """Minutes since midnight of "HH:MM". Raises ValueError."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError("a time of day is written HH:MM")
    return int(found[1]) * 60 + int(found[2])


@dataclass(frozen=True, slots=True)
class Quiet:
    """From minute `start` of the day until minute `stop`, over midnight where `stop` is earlier. They differ, or there would be no hour left."""

    start: int
    stop: int

    def holds(self, at_ms: int, zone: tzinfo) -> bool:
        """Whether the instant is quiet."""
        local = datetime.fromtimestamp(at_ms // 1000, zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.stop:
            return self.start <= minute < self.stop
        return minute >= self.start or minute < self.stop

    def end(self, at_ms: int, zone: tzinfo) -> int:
        """The first instant from `at_ms` on that is not quiet: itself, or a full minute."""
        if not self.holds(at_ms, zone):
            return at_ms
        local = datetime.fromtimestamp(at_ms // 1000, zone)
        minute_ms = at_ms - at_ms % _MINUTE_MS
        end_ms = minute_ms + (self.stop - local.hour * 60 - local.minute) % _DAY_MINUTES * _MINUTE_MS
        if datetime.fromtimestamp(end_ms // 1000, zone).utcoffset() == local.utcoffset():
            return end_ms
        # The clock is changed in between, which happens on two days of the year: look at it every minute.
        while self.holds(minute_ms, zone):
            minute_ms += _MINUTE_MS
        return minute_ms
