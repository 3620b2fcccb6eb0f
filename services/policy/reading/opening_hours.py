"""The opening hours of queues and channel accounts from a tenant's configuration."""

from functools import partial

from chapar.config.v1 import config_pb2
from services.policy.findings import Findings, Path
from services.policy.model.business_time import OpeningHours
from services.policy.model.opening_hours import TenantHours
from services.policy.reading.business_calendar import year_of
from services.policy.reading.calendars import read_calendars, read_zone
from services.policy.reading.dates import opening_shown
from services.policy.reading.open_years import CalendarRefused, OpenYears


def read_opening_hours(configuration: config_pb2.TenantConfiguration, findings: Findings) -> TenantHours:
    """Return the opening hours. What names a calendar that does not exist, or that cannot be used, is reported and has no
    hours."""
    named = {queue.hours for queue in configuration.queues} | {account.hours for account in configuration.channels}
    if not any(named):
        return TenantHours()
    specs = read_calendars(configuration, Findings())  # the check of the calendars reports what is wrong with them
    calendars: dict[str, OpeningHours] = {}
    for name in sorted(named & specs.keys()):
        try:
            calendars[name] = OpeningHours(OpenYears(specs[name]), year_of)
        except CalendarRefused as refused:
            findings.find("CALENDAR", f"calendar `{name}`: {refused}", "calendars")

    def known(name: str, *path: str | int) -> bool:
        findings.find_unknown("calendar", name, specs, *path)
        return name in calendars

    here: Path
    queues: dict[str, OpeningHours] = {}
    for i, queue in enumerate(configuration.queues):
        here = ("queues", i, "hours")
        if queue.hours and known(queue.hours, *here):
            queues[queue.name] = calendars[queue.hours]
    accounts: dict[tuple[str, str], OpeningHours] = {}
    for i, account in enumerate(configuration.channels):
        here = ("channels", i, "hours")
        if account.hours and known(account.hours, *here):
            accounts[account.channel, account.account] = calendars[account.hours]
    zone = read_zone(configuration.time_zone, Findings(), "time_zone")
    return TenantHours(queues, accounts, partial(opening_shown, zone))
