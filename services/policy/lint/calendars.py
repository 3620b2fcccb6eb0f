"""Checks calendars for dates that contradict each other, for a lost minute before midnight, and for calendars that will not be open again."""

from __future__ import annotations

from chapar.config.v1 import config_pb2
from services.policy.findings import Findings, Path
from services.policy.lint.review import Review
from services.policy.reading.calendars import dates_of, read_calendars
from services.policy.reading.opening_hours import read_opening_hours


def calendars(review: Review) -> None:
    """Check all calendars; add findings to the review."""
    read_calendars(review.configuration, review.findings)
    _hours(review)
    for i, calendar in enumerate(review.configuration.calendars):
        _contradictions(review, calendar, ("calendars", i))
        _past(review, calendar, ("calendars", i))
        _minute_before_midnight(review, calendar, ("calendars", i))


def _hours(review: Review) -> None:
    """Check the calendars of queues and channel accounts, and whether customers learn that an account is closed."""
    configuration = review.configuration
    findings = Findings()
    read_opening_hours(configuration, findings)
    for finding in findings.errors:
        if finding.code != "CALENDAR":  # reported with the calendar
            review.find(finding.code, finding.message, *finding.path)
    asked = any("account_open" in rule.when for rule in configuration.rules)
    for i, account in enumerate(configuration.channels):
        if account.hours and not account.acknowledge and not asked:
            message = f"account `{account.channel}/{account.account}` has `hours`, but tells no customer when it opens: add `acknowledge: true`"
            review.find("CLOSED_IN_SILENCE", message, "channels", i, "hours", severity="warning")


def _contradictions(review: Review, calendar: config_pb2.Calendar, here: Path) -> None:
    closed = set(calendar.closed_dates)
    for key, j, text in dates_of(calendar):
        if key != "closed_dates" and text in closed:
            message = f"{text} is also in `closed_dates` of calendar `{calendar.name}`, so it is closed: remove it from one of them"
            review.find("CONTRADICTING_DATES", message, *here, key, j, severity="warning")


def _minute_before_midnight(review: Review, calendar: config_pb2.Calendar, here: Path) -> None:
    ends = [("hours", j, part.to) for j, part in enumerate(calendar.hours)]
    ends += [("exceptions", j, part.to) for j, part in enumerate(calendar.exceptions)]
    for key, j, end in ends:
        if end == "23:59":
            message = f'calendar `{calendar.name}` is closed for the last minute of the day: write "24:00" if it is open until midnight'
            review.find("CLOSES_AT_23_59", message, *here, key, j, "to", severity="warning")


def _past(review: Review, calendar: config_pb2.Calendar, here: Path) -> None:
    last = max({exception.date for exception in calendar.exceptions} - {*calendar.closed_dates}, default="")
    if not calendar.hours and last and last < review.today:
        message = f"calendar `{calendar.name}` is never open again: it has no `hours` of the week, and its last date is {last}"
        review.find("NEVER_OPEN", message, *here, severity="warning")
