"""Checks calendars: values that can't be read, calendars that are never open, dates with contradictory entries."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays

from chapar.config.v1 import config_pb2
from services.cli.config.files import Document
from services.cli.config.requirements import Path_

DAYS: Final = frozenset({"sat", "sun", "mon", "tue", "wed", "thu", "fri"})
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")


def calendars(document: Document) -> None:
    """Check all calendars; add findings to the document."""
    for i, calendar in enumerate(document.configuration.calendars):
        here: Path_ = ("calendars", i)
        if calendar.time_zone:
            zone(document, calendar.time_zone, *here, "time_zone")
        for j, hours in enumerate(calendar.hours):
            _hours(document, getattr(hours, "from"), hours.to, (*here, "hours", j))
            if not hours.days or set(hours.days) - DAYS:
                message = "`days` must be some of sat, sun, mon, tue, wed, thu, fri"
                document.find("UNKNOWN_DAY", message, *here, "hours", j)
        for j, exception in enumerate(calendar.exceptions):
            _hours(document, getattr(exception, "from"), exception.to, (*here, "exceptions", j))
        _dates(document, calendar, here)
        _open_at_all(document, calendar, here)
        if calendar.holidays_country:
            _country(document, calendar.holidays_country, (*here, "holidays_country"))
        for j, country in enumerate(calendar.holidays_countries):
            _country(document, country, (*here, "holidays_countries", j))


def zone(document: Document, name: str, *path: str | int) -> None:
    """Check that a time zone exists."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        document.find("UNKNOWN_ZONE", f"`{name}` is not a time zone such as Asia/Tehran", *path)


def _open_at_all(document: Document, calendar: config_pb2.Calendar, here: Path_) -> None:
    if calendar.hours:
        return
    closed = set(calendar.closed_dates)
    days = {exception.date for exception in calendar.exceptions} - closed
    if not days:
        message = f"calendar `{calendar.name}` is never open: give it `hours` of the week"
        document.find("NEVER_OPEN", message, *here)
    elif max(days) < datetime.now(UTC).date().isoformat():
        message = f"calendar `{calendar.name}` is never open again: it has no `hours` of the week, and its last date is {max(days)}"
        document.find("NEVER_OPEN", message, *here, severity="warning")


def _hours(document: Document, start: str, end: str, here: Path_) -> None:
    if not _CLOCK.fullmatch(start) or not _CLOCK.fullmatch(end):
        document.find("NOT_A_TIME", "`from` and `to` must be times such as 08:30, in quotes", *here)
    elif start >= end:
        document.find("NEVER_OPEN", f"{start} to {end} is empty; split hours over midnight into two", *here)


def _dates(document: Document, calendar: config_pb2.Calendar, here: Path_) -> None:
    given = [("closed_dates", j, text) for j, text in enumerate(calendar.closed_dates)]
    given += [("open_dates", j, text) for j, text in enumerate(calendar.open_dates)]
    given += [("exceptions", j, exception.date) for j, exception in enumerate(calendar.exceptions)]
    closed = set(calendar.closed_dates)
    for key, j, text in given:
        try:
            date.fromisoformat(text)
        except ValueError:
            document.find("NOT_A_DATE", f"`{text}` is not a date such as 2026-03-21", *here, key, j)
            continue
        if key != "closed_dates" and text in closed:
            message = f"{text} is also in `closed_dates` of calendar `{calendar.name}`, so it is closed: remove it from one of them"
            document.find("CONTRADICTING_DATES", message, *here, key, j, severity="warning")


def _country(document: Document, text: str, path: Path_) -> None:
    name, _, part = text.partition("-")
    parts = holidays.list_supported_countries(include_aliases=True).get(name)
    if parts is None:
        message = f"the public holidays of `{text}` are not known: write an ISO 3166 country code, e.g. IR; or give `closed_dates`"
        document.find("UNKNOWN_COUNTRY", message, *path)
    elif part and part not in parts:
        known = ", ".join(sorted(parts)[:20]) or "none"
        document.find("UNKNOWN_COUNTRY", f"`{name}` has no part `{part}` (known: {known})", *path)
