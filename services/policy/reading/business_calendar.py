"""The domain's `BusinessTime` from calendars as configured."""

from collections.abc import Callable
from datetime import UTC, datetime

from services.policy.model.business_time import BusinessTime, OpeningHours
from services.policy.model.calendars import CalendarSpec
from services.policy.reading.open_years import OpenYears


def year_of(at_ms: int) -> int:
    """Return the UTC year of an instant."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).year


def caching_calendars() -> Callable[[CalendarSpec], BusinessTime]:
    """Return a function that builds each calendar once; lanes and the read model share them. A calendar grows only
    by the years for which it is asked."""
    known: dict[CalendarSpec, BusinessTime] = {}

    def calendar_of(spec: CalendarSpec) -> BusinessTime:
        found = known.get(spec)
        if found is None:
            found = known[spec] = OpeningHours(OpenYears(spec), year_of)
        return found

    return calendar_of
