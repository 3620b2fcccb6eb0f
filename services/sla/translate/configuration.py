"""TenantConfiguration -> the policies that the engine chooses from.

Everything is checked here, once, when configuration is read: a configuration that can't be used is refused as a whole with a
sentence that names the policy or calendar, and the version that runs goes on.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from chapar.config.v1 import config_pb2 as pb
from services.chassis.errors import ChaparError, ErrorKind
from services.sla.domain.calendar import BusinessTime, CalendarSpec, OpenHours
from services.sla.domain.policy import Plan, Policy, Target, TargetPlan

_DAYS: Final = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_MOST_MS: Final = 10 * 366 * 86_400_000
_MOST_WARNINGS: Final = 10
MOST_PRIORITY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Promises:
    """One tenant's policies, in the order in which they are tried."""

    tenant: str
    version: int
    policies: tuple[Policy, ...]
    time_zone: str = "UTC"
    """In which hours and days of measures begin."""
    language: str = ""


def decode_promises(calendar_of: Callable[[CalendarSpec], BusinessTime]) -> Callable[[str, bytes], Promises]:
    """For ConfigReader. The result raises ChaparError INVALID SLA_CONFIGURATION, and protobuf's DecodeError.

    `calendar_of` is called for each calendar in use, so that one that makes no sense is found before work depends on it.
    """

    def decode(_key: str, raw: bytes) -> Promises:
        return promises_of(pb.TenantConfiguration.FromString(raw), calendar_of)

    return decode


def promises_of(configuration: pb.TenantConfiguration, calendar_of: Callable[[CalendarSpec], BusinessTime]) -> Promises:
    """See `decode_promises`."""
    calendars = {calendar.name: calendar for calendar in configuration.calendars}
    policies = tuple(_policy(policy, calendars, configuration, calendar_of) for policy in configuration.sla_policies)
    return Promises(
        configuration.tenant,
        configuration.version,
        policies,
        configuration.time_zone or "UTC",
        configuration.default_language,
    )


def calendar_spec(calendar: pb.Calendar, default_zone: str) -> CalendarSpec:
    """Raises ChaparError for hours that can't be read."""
    hours: list[OpenHours] = []
    for weekly in calendar.hours:
        low, high = (_minutes(text, calendar.name) for text in (getattr(weekly, "from"), weekly.to))
        for day in weekly.days:
            if day not in _DAYS:
                raise _refused(f"calendar {calendar.name}: {day!r} is no day; write one of {', '.join(_DAYS)}")
            hours.append(OpenHours(_DAYS[day], low, high))
    return CalendarSpec(
        calendar.time_zone or default_zone or "UTC",
        tuple(sorted(hours, key=lambda h: (h.weekday, h.from_minute, h.to_minute))),
        calendar.holidays_country,
        tuple(sorted(calendar.closed_dates)),
        tuple(sorted(calendar.open_dates)),
    )


def _policy(
    policy: pb.SlaPolicy,
    calendars: dict[str, pb.Calendar],
    configuration: pb.TenantConfiguration,
    calendar_of: Callable[[CalendarSpec], BusinessTime],
) -> Policy:
    spec: CalendarSpec | None = None
    if policy.calendar:
        if policy.calendar not in calendars:
            raise _refused(f"SLA policy {policy.name}: there is no calendar {policy.calendar!r}")
        spec = calendar_spec(calendars[policy.calendar], configuration.time_zone)
        try:
            calendar_of(spec)
        except ValueError as error:
            raise _refused(f"calendar {policy.calendar}: {error}") from error
    targets = tuple(_target(target, policy.name) for target in policy.targets)
    if len({target.target for target in targets}) != len(targets):
        raise _refused(f"SLA policy {policy.name}: a target is given twice")
    content = sha256(policy.SerializeToString(deterministic=True) + repr(spec).encode()).hexdigest()[:12]
    return Policy(
        Plan(
            plan_id=f"{configuration.tenant}/{configuration.version}/{policy.name}/{content}",
            policy=policy.name,
            config_version=configuration.version,
            targets=targets,
            calendar=spec,
            pause_while_customer_awaited=policy.pause_while_customer_awaited,
        ),
        frozenset(policy.queues),
        frozenset(policy.channels),
        frozenset(policy.tiers),
    )


def _target(target: pb.SlaTarget, policy: str) -> TargetPlan:
    if target.kind not in Target._value2member_map_:
        raise _refused(f"SLA policy {policy}: a target has no kind, or one that this version does not know")
    kind = Target(target.kind)
    # Whoever gives one level means both.
    desired, adequate = target.desired_ms or target.adequate_ms, target.adequate_ms or target.desired_ms
    if max(desired, adequate) > _MOST_MS or len(target.warn_at) > _MOST_WARNINGS:
        raise _refused(f"SLA policy {policy}, {kind.name}: a level above 10 years, or more than 10 warnings")
    try:
        plan = TargetPlan.of(kind, desired, adequate, target.warn_at, target.escalate_priority)
        return predicted(plan, target)
    except ValueError as error:
        raise _refused(f"SLA policy {policy}, {kind.name}: {error}") from error


def predicted(plan: TargetPlan, target: pb.SlaTarget) -> TargetPlan:
    """The plan with what is asked for about forecasts. Raises ValueError for a probability or a priority out of range."""
    if not target.HasField("predict"):
        return plan
    wanted = target.predict
    if not 0 < wanted.probability < 1:
        raise ValueError(f"predict.probability lies between 0 and 1, not {wanted.probability:g}")
    if not 0 <= wanted.add_priority <= MOST_PRIORITY:
        raise ValueError(f"predict.add_priority lies between 0 and {MOST_PRIORITY}, not {wanted.add_priority}")
    return replace(plan, predict_probability=wanted.probability, predict_priority=wanted.add_priority)


def _minutes(text: str, calendar: str) -> int:
    if not _TIME.fullmatch(text):
        raise _refused(f"calendar {calendar}: {text!r} is no time of day; write HH:MM, at most 24:00")
    return int(text[:2]) * 60 + int(text[3:])


def _refused(message: str) -> ChaparError:
    return ChaparError(ErrorKind.INVALID, "SLA_CONFIGURATION", message)
