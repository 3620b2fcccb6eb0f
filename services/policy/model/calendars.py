"""Business calendars as operators configure them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenHours:
    """One open interval of a weekday. `weekday` 0 is Monday; minutes count from local midnight; `to_minute` 1440 is
    the end of the day."""

    weekday: int
    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class ExceptionalHours:
    """One open interval of a date (ISO 8601), which replaces the hours of its weekday."""

    date: str
    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class CalendarSpec:
    """A business calendar as an operator configured it, in full. It is kept with each deadline, so that it never
    changes while the deadline runs. Dates are ISO 8601."""

    zone: str
    hours: tuple[OpenHours, ...]
    holidays_country: str = ""
    closed_dates: tuple[str, ...] = ()
    open_dates: tuple[str, ...] = ()
    exceptions: tuple[ExceptionalHours, ...] = ()
    more_countries: tuple[str, ...] = ()
    """In addition to `holidays_country`; a part of a country is written `DE-BY`."""
