"""Check numbers of the contracts on which the engine relies.

A number out of range is refused with `ValueError`, and never adjusted: with an adjusted number the engine would decide otherwise than the author
of the configuration wrote.
"""

from math import isfinite
from typing import Final

LONGEST_MS: Final = 366 * 86_400_000
LATEST_MS: Final = 253_402_300_800_000
"""The year 10000: later than any date in use, and a time that dates and 64 bits can still hold with a year added."""


def duration(ms: int, what: str) -> int:
    """Return milliseconds from 0 to 366 days."""
    if not 0 <= ms <= LONGEST_MS:
        raise ValueError(f"{what} is {ms} ms: not from 0 to 366 days")
    return ms


def instant(ms: int, what: str) -> int:
    """Return milliseconds since the epoch, or 0 for none."""
    if not 0 <= ms < LATEST_MS:
        raise ValueError(f"{what} is {ms}: not a time between 1970 and 9999")
    return ms


def finite(number: float, what: str) -> float:
    """Return a number that is not NaN and not infinite: nothing can be ordered by those."""
    if not isfinite(number):
        raise ValueError(f"{what} is {number}")
    return number


def positive(number: float, what: str) -> float:
    """Return a finite number that is not negative."""
    if not finite(number, what) >= 0:
        raise ValueError(f"{what} is {number}: below 0")
    return number


def count(number: int, what: str, most: int = 2**31 - 1) -> int:
    """Return a whole number from 0 to `most`."""
    if not 0 <= number <= most:
        raise ValueError(f"{what} is {number}: not from 0 to {most}")
    return number


def share(number: float, what: str) -> float:
    """Return a number from 0 to 1."""
    if not 0.0 <= finite(number, what) <= 1.0:
        raise ValueError(f"{what} is {number}: not from 0 to 1")
    return number
