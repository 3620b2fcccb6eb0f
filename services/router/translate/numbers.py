"""Numbers of the contracts that the engine may rely on. What is out of range is refused (`ValueError`), never bent: a bent number decides differently
from what somebody wrote."""

from math import isfinite
from typing import Final

LONGEST_MS: Final = 366 * 86_400_000
LATEST_MS: Final = 253_402_300_800_000
"""The year 10000: far enough for any date, and still a time that dates and 64 bits can hold with a year added."""


def duration(ms: int, what: str) -> int:
    """Milliseconds from 0 to 366 days."""
    if not 0 <= ms <= LONGEST_MS:
        raise ValueError(f"{what} is {ms} ms: not from 0 to 366 days")
    return ms


def instant(ms: int, what: str) -> int:
    """Milliseconds since the epoch, or 0 for none."""
    if not 0 <= ms < LATEST_MS:
        raise ValueError(f"{what} is {ms}: no time between 1970 and 9999")
    return ms


def finite(number: float, what: str) -> float:
    """No NaN and no infinity: nothing can be ordered by them."""
    if not isfinite(number):
        raise ValueError(f"{what} is {number}")
    return number


def positive(number: float, what: str) -> float:
    """Finite, and not below 0."""
    if not finite(number, what) >= 0:
        raise ValueError(f"{what} is {number}: below 0")
    return number


def count(number: int, what: str, most: int = 2**31 - 1) -> int:
    """A whole number from 0 to `most`."""
    if not 0 <= number <= most:
        raise ValueError(f"{what} is {number}: not from 0 to {most}")
    return number


def share(number: float, what: str) -> float:
    """From 0 to 1."""
    if not 0.0 <= finite(number, what) <= 1.0:
        raise ValueError(f"{what} is {number}: not from 0 to 1")
    return number
