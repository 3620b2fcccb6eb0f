"""Business calendars and time zones from a tenant's configuration."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays

from chapar.config.v1 import config_pb2 as pb
from services.policy.findings import Findings, Path
from services.policy.model.calendars import CalendarSpec, ExceptionalHours, OpenHours
from services.policy.reading.open_years import CalendarRefused, OpenYears

DAYS: Final = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


def read_zone(name: str, findings: Findings, *path: str | int) -> ZoneInfo:
    """Return a time zone; one that does not exist is reported, and UTC is returned. Empty means UTC."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        findings.find("UNKNOWN_ZONE", f"`{name}` is not a time zone such as Asia/Tehran", *path)
        return ZoneInfo("UTC")


def read_calendars(configuration: pb.TenantConfiguration, findings: Findings) -> dict[str, CalendarSpec]:
    """Return the calendars by name; each part that cannot be used is reported. A calendar without a zone has the tenant's."""
    read_zone(configuration.time_zone, findings, "time_zone")
    found: dict[str, CalendarSpec] = {}
    for index, calendar in enumerate(configuration.calendars):
        found.setdefault(calendar.name, _calendar(calendar, configuration.time_zone, findings, ("calendars", index)))
    return found


def _calendar(calendar: pb.Calendar, default_zone: str, found: Findings, here: Path) -> CalendarSpec:
    findings = Findings()  # own findings: one that an earlier reader reported counts here too
    read_zone(calendar.time_zone, findings, *here, "time_zone")
    hours = [
        OpenHours(DAYS[day], low, high)
        for j, weekly in enumerate(calendar.hours)
        for low, high in _hours(getattr(weekly, "from"), weekly.to, findings, (*here, "hours", j))
        for day in _days(weekly, findings, (*here, "hours", j))
    ]
    exceptions = [
        ExceptionalHours(exception.date, low, high)
        for j, exception in enumerate(calendar.exceptions)
        for low, high in _hours(getattr(exception, "from"), exception.to, findings, (*here, "exceptions", j))
    ]
    _check_dates(calendar, findings, here)
    _check_countries(calendar, findings, here)
    if not calendar.hours and not {exception.date for exception in calendar.exceptions} - {*calendar.closed_dates}:
        message = f"calendar `{calendar.name}` is never open: give it `hours` of the week"
        findings.find("NEVER_OPEN", message, *here)
    spec = CalendarSpec(
        calendar.time_zone or default_zone or "UTC",
        tuple(sorted(hours, key=lambda h: (h.weekday, h.from_minute, h.to_minute))),
        calendar.holidays_country,
        tuple(sorted(calendar.closed_dates)),
        tuple(sorted(calendar.open_dates)),
        tuple(sorted(exceptions, key=lambda e: (e.date, e.from_minute, e.to_minute))),
        tuple(sorted(set(calendar.holidays_countries))),
    )
    if not findings.errors:
        try:
            OpenYears(spec)
        except CalendarRefused as error:
            findings.find("CALENDAR", f"calendar `{calendar.name}`: {error}", *here)
    for finding in findings.found:
        found.find(finding.code, finding.message, *finding.path, severity=finding.severity)
    return spec


def _hours(start: str, end: str, findings: Findings, here: Path) -> Iterator[tuple[int, int]]:
    """Yield the minutes of one open interval; nothing for one that cannot be used."""
    if not _TIME.fullmatch(start) or not _TIME.fullmatch(end):
        findings.find("NOT_A_TIME", "`from` and `to` must be times such as 08:30, in quotes", *here)
    elif start >= end:
        findings.find("NEVER_OPEN", f"{start} to {end} is empty; split hours over midnight into two", *here)
    else:
        yield _minutes(start), _minutes(end)


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _days(weekly: pb.WeeklyHours, findings: Findings, here: Path) -> list[str]:
    if not weekly.days or set(weekly.days) - DAYS.keys():
        findings.find("UNKNOWN_DAY", "`days` must be some of sat, sun, mon, tue, wed, thu, fri", *here)
    return [day for day in weekly.days if day in DAYS]


def dates_of(calendar: pb.Calendar) -> Iterator[tuple[str, int, str]]:
    """Yield field, index and text of each date of a calendar."""
    for key, dates in (
        ("closed_dates", calendar.closed_dates),
        ("open_dates", calendar.open_dates),
        ("exceptions", [exception.date for exception in calendar.exceptions]),
    ):
        for j, text in enumerate(dates):
            yield key, j, text


def _check_dates(calendar: pb.Calendar, findings: Findings, here: Path) -> None:
    for key, j, text in dates_of(calendar):
        try:
            date.fromisoformat(text)
        except ValueError:
            findings.find("NOT_A_DATE", f"`{text}` is not a date such as 2026-03-21", *here, key, j)


def _check_countries(calendar: pb.Calendar, findings: Findings, here: Path) -> None:
    if calendar.holidays_country:
        _check_country(calendar.holidays_country, findings, (*here, "holidays_country"))
    for j, country in enumerate(calendar.holidays_countries):
        _check_country(country, findings, (*here, "holidays_countries", j))


def _check_country(text: str, findings: Findings, path: Path) -> None:
    name, _, part = text.partition("-")
    parts = holidays.list_supported_countries(include_aliases=True).get(name)
    if parts is None:
        message = f"the public holidays of `{text}` are not known: write an ISO 3166 country code, e.g. IR; or give `closed_dates`"
        findings.find("UNKNOWN_COUNTRY", message, *path)
    elif part and part not in parts:
        known = ", ".join(sorted(parts)[:20]) or "none"
        findings.find("UNKNOWN_COUNTRY", f"`{name}` has no part `{part}` (known: {known})", *path)
