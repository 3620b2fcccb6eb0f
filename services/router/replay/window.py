"""The meaning of `--from` and `--to`: a time, a time ago, or an offset of routing.commands.v1. Persian and Arabic digits count as digits."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from services.chassis.jalali import JalaliDay

_DIGITS: Final = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")
_AGO: Final = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_UNITS_MS: Final = (86_400_000, 3_600_000, 60_000, 1_000)
_JALALI: Final = re.compile(r"(1[34]\d\d)-(\d{1,2})-(\d{1,2})(.*)")
"""No journal exists from the fourteenth Gregorian century: such a year is a Jalali one."""


@dataclass(frozen=True, slots=True)
class At:
    """A time, milliseconds since the epoch, compared with the clock of batches."""

    ms: int


@dataclass(frozen=True, slots=True)
class Offset:
    """An offset of the shard's commands."""

    offset: int


Bound = At | Offset


def parse_bound(text: str, now_ms: int) -> Bound:
    """Parse "1204" as an offset, "2h" or "1d12h" as that long before `now_ms`, and anything else as an ISO time.

    A time without a zone is in the machine's zone; a Jalali date is understood. Raises ValueError with a readable sentence.
    """
    plain = text.strip().translate(_DIGITS).replace("/", "-")
    if plain.isdecimal():
        return Offset(int(plain))
    ago = _AGO.fullmatch(plain)
    if ago is not None:
        return At(now_ms - sum(int(n or 0) * unit for n, unit in zip(ago.groups(), _UNITS_MS, strict=True)))
    try:
        return At(round(datetime.fromisoformat(_gregorian(plain)).astimezone(UTC).timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is not a time (2026-03-01T08:00), a time ago (2h, 1d12h) or an offset (1204)"
        ) from error


def _gregorian(text: str) -> str:
    jalali = _JALALI.fullmatch(text)
    if jalali is None:
        return text
    year, month, day = (int(part) for part in jalali.groups()[:3])
    return f"{JalaliDay(year, month, day).gregorian().isoformat()}{jalali[4]}"


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open window; None means as far as the journal goes."""

    begin: Bound | None = None
    end: Bound | None = None

    def has_begun(self, now_ms: int, next_offset: int) -> bool:
        """Whether a batch at this clock, after which `next_offset` is the next command, is in the window or after it."""
        match self.begin:
            case At(ms):
                return now_ms >= ms
            case Offset(offset):
                return next_offset > offset
        return True

    def is_over(self, now_ms: int, offset: int) -> bool:
        """Whether a batch at this clock that begins at `offset` is after the window."""
        match self.end:
            case At(ms):
                return now_ms >= ms
            case Offset(end):
                return offset >= end
        return False

    def begins_before(self, now_ms: int, offset: int) -> bool:
        """Whether the window includes something from before a state of this clock and position."""
        match self.begin:
            case At(ms):
                return ms < now_ms
            case Offset(begin):
                return begin < offset
        return False
