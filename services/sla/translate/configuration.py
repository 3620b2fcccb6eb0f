"""TenantConfiguration -> the policies from which the engine chooses.

Everything is checked here, once, when configuration is read. A configuration that cannot be used is rejected as a
whole, with a sentence that names the policy or calendar, and the running version stays in force.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from chapar.config.v1 import config_pb2 as pb
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.expressions import ExpressionRefused, Expressions, compile_expression
from services.chassis.webhooks import Endpoint, endpoints_of
from services.sla.domain.calendar import BusinessTime, CalendarSpec, ExceptionalHours, OpenHours
from services.sla.domain.policy import (
    SCHEDULE_PAUSES,
    Action,
    Condition,
    Escalation,
    Plan,
    Point,
    Policy,
    Subject,
    Target,
    TargetPlan,
)
from services.sla.domain.policy_changes import PolicyList

_DAYS: Final = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_MOST_MS: Final = 10 * 366 * 86_400_000
_MOST_WARNINGS: Final = 10
MOST_PRIORITY: Final = 1_000_000
_MOST_ESCALATIONS: Final = 20
VARIABLES: Final = ("channel", "labels", "language", "priority", "queue", "tier")
"""Variables that the condition of a policy may use."""
Failed = Callable[[str], None]
"""Callback that receives the name of the policy whose condition could not be evaluated."""


def _ignore_failure(_policy: str) -> None:
    """Ignore a condition that could not be evaluated."""


@dataclass(frozen=True, slots=True)
class TenantPolicies(PolicyList):
    """One tenant's policies, and the webhooks to notify, by name."""

    webhooks: Mapping[str, Endpoint]
    time_zone: str = "UTC"
    """Zone in which hours and days of measures begin."""
    language: str = ""


def decode_policies(
    calendar_of: Callable[[CalendarSpec], BusinessTime], failed: Failed = _ignore_failure
) -> Callable[[str, bytes], TenantPolicies]:
    """Return a decoder for ConfigReader. It raises ChaparError INVALID SLA_CONFIGURATION, and protobuf's DecodeError.

    `calendar_of` is called for each calendar in use, so that an invalid one is found before interactions depend on it.
    """

    def decode(_key: str, raw: bytes) -> TenantPolicies:
        return policies_of(pb.TenantConfiguration.FromString(raw), calendar_of, failed)

    return decode


def policies_of(
    configuration: pb.TenantConfiguration,
    calendar_of: Callable[[CalendarSpec], BusinessTime],
    failed: Failed = _ignore_failure,
) -> TenantPolicies:
    """See `decode_policies`."""
    calendars = {calendar.name: calendar for calendar in configuration.calendars}
    asked = Expressions((policy.when for policy in configuration.sla_policies), _variables)
    policies = tuple(
        _policy(policy, calendars, configuration, calendar_of, _condition(policy, asked, failed))
        for policy in configuration.sla_policies
    )
    try:
        webhooks = endpoints_of(configuration.webhooks)
    except ValueError as error:
        raise _refused(str(error)) from error
    _names_that_exist(configuration, webhooks)
    return TenantPolicies(
        configuration.version,
        policies,
        webhooks,
        configuration.time_zone or "UTC",
        configuration.default_language,
    )


def _names_that_exist(configuration: pb.TenantConfiguration, webhooks: Mapping[str, Endpoint]) -> None:
    queues = {queue.name for queue in configuration.queues}
    for policy in configuration.sla_policies:
        for escalation in (each for target in policy.targets for each in target.escalations):
            if escalation.webhook and escalation.webhook not in webhooks:
                raise _refused(f"SLA policy {policy.name}: there is no webhook {escalation.webhook!r}")
            if escalation.queue and escalation.queue not in queues:
                raise _refused(f"SLA policy {policy.name}: there is no queue {escalation.queue!r} to escalate to")


def _condition(policy: pb.SlaPolicy, asked: Expressions[Subject], failed: Failed) -> Condition | None:
    source, name = policy.when, policy.name
    if not source:
        return None
    try:
        compile_expression(source, VARIABLES)
    except ExpressionRefused as error:
        raise _refused(f"SLA policy {name}: its condition is invalid: {error}") from error

    if source in asked.refused:
        raise _refused(f"SLA policy {name}: its condition is invalid: {asked.refused[source]}")

    def holds(subject: Subject) -> bool:
        answer = asked.holds(source, subject)
        if answer is None:
            failed(name)
        return answer is True

    return holds


def _variables(subject: Subject) -> dict[str, Any]:
    return {
        "channel": subject.channel,
        "labels": dict(subject.labels),
        "language": subject.language,
        "priority": subject.priority,
        "queue": subject.queue,
        "tier": subject.tier,
    }


def calendar_spec(calendar: pb.Calendar, default_zone: str) -> CalendarSpec:
    """Convert a calendar. Raises ChaparError for hours that cannot be read."""
    hours: list[OpenHours] = []
    for weekly in calendar.hours:
        low, high = (_minutes(text, calendar.name) for text in (getattr(weekly, "from"), weekly.to))
        for day in weekly.days:
            if day not in _DAYS:
                raise _refused(f"calendar {calendar.name}: {day!r} is not a weekday; write one of {', '.join(_DAYS)}")
            hours.append(OpenHours(_DAYS[day], low, high))
    return CalendarSpec(
        calendar.time_zone or default_zone or "UTC",
        tuple(sorted(hours, key=lambda h: (h.weekday, h.from_minute, h.to_minute))),
        calendar.holidays_country,
        tuple(sorted(calendar.closed_dates)),
        tuple(sorted(calendar.open_dates)),
        tuple(sorted(_exceptions(calendar), key=lambda e: (e.date, e.from_minute, e.to_minute))),
        tuple(sorted(set(calendar.holidays_countries))),
    )


def _exceptions(calendar: pb.Calendar) -> Iterable[ExceptionalHours]:
    for hours in calendar.exceptions:
        low, high = (_minutes(text, calendar.name) for text in (getattr(hours, "from"), hours.to))
        yield ExceptionalHours(hours.date, low, high)


def _policy(
    policy: pb.SlaPolicy,
    calendars: dict[str, pb.Calendar],
    configuration: pb.TenantConfiguration,
    calendar_of: Callable[[CalendarSpec], BusinessTime],
    condition: Condition | None,
) -> Policy:
    low, high = (
        getattr(policy, name) if policy.HasField(name) else None for name in ("priority_at_least", "priority_at_most")
    )
    if low is not None and high is not None and low > high:
        raise _refused(f"SLA policy {policy.name}: no priority is at least {low} and at most {high}")
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
    _agree(policy.name, {target.target: target for target in targets})
    content = sha256(policy.SerializeToString(deterministic=True) + repr(spec).encode()).hexdigest()[:12]
    return Policy(
        Plan(
            plan_id=f"{configuration.tenant}/{configuration.version}/{policy.name}/{content}",
            policy=policy.name,
            config_version=configuration.version,
            targets=targets,
            calendar=spec,
            pause_while_customer_awaited=policy.pause_while_customer_awaited,
            pause_until_scheduled=tuple(
                _kind(number, policy.name) for number in sorted(set(policy.pause_until_scheduled))
            )
            or SCHEDULE_PAUSES,
            orders_queue=policy.orders_queue,
        ),
        frozenset(policy.queues),
        frozenset(policy.channels),
        frozenset(policy.tiers),
        frozenset(policy.languages),
        low,
        high,
        condition,
        policy.applies_to_open,
    )


def _agree(policy: str, targets: dict[Target, TargetPlan]) -> None:
    """Check that a target is not due later than a target that can only come after it."""
    for earlier, later in (
        (Target.PICK_UP, Target.FIRST_RESPONSE),
        (Target.FIRST_RESPONSE, Target.RESOLUTION),
        (Target.NEXT_RESPONSE, Target.RESOLUTION),
        (Target.PICK_UP, Target.RESOLUTION),
    ):
        if earlier in targets and later in targets and targets[earlier].adequate_ms > targets[later].adequate_ms:
            raise _refused(
                f"SLA policy {policy}: {earlier.name} is due later than {later.name}, which cannot come before it"
            )


def _target(target: pb.SlaTarget, policy: str) -> TargetPlan:
    kind = _kind(target.kind, policy)
    # One level alone means both.
    desired, adequate = target.desired_ms or target.adequate_ms, target.adequate_ms or target.desired_ms
    warnings = len(target.warn_at) + len(target.warn_before_ms) + len(target.warn_after_ms)
    if max(desired, adequate) > _MOST_MS or warnings > _MOST_WARNINGS or len(target.escalations) > _MOST_ESCALATIONS:
        raise _refused(
            f"SLA policy {policy}, {kind.name}: a level above 10 years, more than {_MOST_WARNINGS} warnings, "
            f"or more than {_MOST_ESCALATIONS} escalations"
        )
    try:
        plan = TargetPlan.of(
            kind,
            desired,
            adequate,
            target.warn_at,
            target.escalate_priority,
            warn_before=target.warn_before_ms,
            warn_after=target.warn_after_ms,
            escalations=[_escalation(escalation) for escalation in target.escalations],
        )
        return predicted(plan, target)
    except ValueError as error:
        raise _refused(f"SLA policy {policy}, {kind.name}: {error}") from error


def predicted(plan: TargetPlan, target: pb.SlaTarget) -> TargetPlan:
    """Return the plan with the settings for forecasts. Raises ValueError for a probability or a priority out of
    range."""
    if not target.HasField("predict"):
        return plan
    wanted = target.predict
    if not 0 < wanted.probability < 1:
        raise ValueError(f"predict.probability must be between 0 and 1, not {wanted.probability:g}")
    if not 0 <= wanted.add_priority <= MOST_PRIORITY:
        raise ValueError(f"predict.add_priority must be between 0 and {MOST_PRIORITY}, not {wanted.add_priority}")
    return replace(plan, predict_probability=wanted.probability, predict_priority=wanted.add_priority)


def _kind(number: int, policy: str) -> Target:
    if number not in Target._value2member_map_:
        raise _refused(f"SLA policy {policy}: a target has no kind, or one that this version does not know")
    return Target(number)


def _escalation(escalation: pb.SlaEscalation) -> Escalation:
    """Convert an escalation. Raises ValueError for one that never happens or does nothing."""
    if escalation.at not in Point._value2member_map_:
        raise ValueError("an escalation does not say when it happens: at a warning, desired_passed or breach")
    action = Action(
        escalation.add_priority,
        escalation.queue,
        escalation.webhook,
        escalation.supervisor,
        tuple(requirement.SerializeToString(deterministic=True) for requirement in escalation.requirements),
    )
    if action == Action():
        raise ValueError(
            "an escalation does nothing: give it a priority, requirements, a queue, a webhook or supervisor"
        )
    return Escalation(Point(escalation.at), action, escalation.warning or 1)


def _minutes(text: str, calendar: str) -> int:
    if not _TIME.fullmatch(text):
        raise _refused(f"calendar {calendar}: {text!r} is not a time of day; write HH:MM, at most 24:00")
    return int(text[:2]) * 60 + int(text[3:])


def _refused(message: str) -> ChaparError:
    return ChaparError(ErrorKind.INVALID, "SLA_CONFIGURATION", message)
