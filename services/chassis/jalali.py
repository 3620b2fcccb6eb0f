"""Dates of the Jalali calendar, which Iran uses, from and to Gregorian dates."""

from datetime import date
from typing import NamedTuple, Self

from persiantools.jdatetime import JalaliDate


class JalaliDay(NamedTuple):
    """One day: year (1405), month and day, both from 1."""

    year: int
    month: int
    day: int

    @classmethod
    def of(cls, day: date) -> Self:
        """Return the Jalali day of a date from 22 March 622 to 19 March 9999. Raises ValueError for others."""
        found = JalaliDate.to_jalali(day)  # type: ignore[no-untyped-call]  # the library annotates its results only
        return cls(found.year, found.month, found.day)

    def gregorian(self) -> date:
        """Return the Gregorian date. Raises ValueError for a day that the calendar does not have."""
        found: date = JalaliDate(*self).to_gregorian()  # type: ignore[no-untyped-call]  # as above
        return found

    def __str__(self) -> str:
        """Return year, month and day as `1405/09/06`."""
        return f"{self.year:04}/{self.month:02}/{self.day:02}"
