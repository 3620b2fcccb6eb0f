"""SLA policies from a tenant's configuration.

A configuration in which a part cannot be used is refused as a whole, and the running version stays in force.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from chapar.config.v1 import config_pb2 as pb
from services.chassis.durations import duration
from services.chassis.expressions import Expressions, Together
from services.policy.findings import Findings, Path
from services.policy.model.calendars import CalendarSpec
from services.policy.model.sla import (
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
    TenantPolicies,
)
from services.policy.reading.calendars import read_calendars
from services.policy.reading.conditions import check_condition
from services.policy.reading.counting import read_dispositions
from services.policy.reading.webhooks import read_webhooks

MOST_PRIORITY: Final = 1_000_000
_VALUES: Final[Mapping[str, Callable[[Subject], Any]]] = MappingProxyType(
    {
        "channel": lambda subject: subject.channel,
        "labels": lambda subject: dict(subject.labels),
        "language": lambda subject: subject.language,
        "priority": lambda subject: subject.priority,
        "queue": lambda subject: subject.queue,
        "tier": lambda subject: subject.tier,
    }
)
VARIABLES: Final = tuple(_VALUES)
"""Variables that the condition of a policy may use."""
_MOST_MS: Final = 10 * 366 * 86_400_000
_MOST_WARNINGS: Final = 10
_MOST_ESCALATIONS: Final = 20
_IN_ORDER: Final = (
    (Target.PICK_UP, Target.FIRST_RESPONSE),
    (Target.FIRST_RESPONSE, Target.RESOLUTION),
    (Target.NEXT_RESPONSE, Target.RESOLUTION),
    (Target.PICK_UP, Target.RESOLUTION),
)
"""Pairs of targets: the second can't come before the first."""
_NO_KIND: Final = "a target needs a `kind`: pick_up, first_response, next_response or resolution"

Failed = Callable[[str], None]
"""Callback that receives the name of the policy whose condition could not be evaluated."""


def _ignore_failure(_policy: str) -> None:
    """Ignore a condition that could not be evaluated."""


def decode_policies(failed: Failed = _ignore_failure) -> Callable[[str, bytes], TenantPolicies]:
    """Return a decoder for ConfigReader. It raises ConfigurationRefused, and protobuf's DecodeError."""

    def decode(_key: str, raw: bytes) -> TenantPolicies:
        return policies_of(pb.TenantConfiguration.FromString(raw), failed)

    return decode


def policies_of(configuration: pb.TenantConfiguration, failed: Failed = _ignore_failure) -> TenantPolicies:
    """Return a tenant's policies. Raises ConfigurationRefused if a part cannot be used."""
    findings = Findings()
    policies = read_policies(configuration, findings, failed)
    findings.refuse_errors()
    return policies


def read_policies(
    configuration: pb.TenantConfiguration, findings: Findings, failed: Failed = _ignore_failure
) -> TenantPolicies:
    """Return a tenant's policies; what cannot be used is reported. Policies with an error are left out."""
    calendars = read_calendars(configuration, findings)
    webhooks = read_webhooks(configuration, findings)
    reader = _Reader(configuration, calendars, findings)
    expressions = Expressions((policy.when for policy in configuration.sla_policies), _variables)
    policies: list[Policy] = []
    for index, policy in enumerate(configuration.sla_policies):
        made = reader.policy(policy, ("sla_policies", index), _condition(policy, expressions, failed))
        if made is not None:
            policies.append(made)
    return TenantPolicies(
        configuration.version,
        tuple(policies),
        webhooks,
        configuration.time_zone or "UTC",
        configuration.default_language,
        spam=frozenset(name for name, each in read_dispositions(configuration, findings).items() if each.spam),
    )


def levels(target: pb.SlaTarget) -> tuple[int, int]:
    """Return the desired and the adequate level, milliseconds. If only one is set, it is used for both."""
    return target.desired_ms or target.adequate_ms, target.adequate_ms or target.desired_ms


def name_of(target: pb.SlaTarget) -> str:
    """Return the name of a target's kind as it is written in a configuration."""
    return Target(target.kind).name.lower() if target.kind in Target._value2member_map_ else "a target"


def _condition(policy: pb.SlaPolicy, expressions: Expressions[Subject], failed: Failed) -> Condition | None:
    source, name = policy.when, policy.name
    if not source:
        return None

    def holds(subject: Subject) -> bool:
        result = expressions.holds(source, subject)
        if result is None:
            failed(name)
        return result is True

    return holds


def _variables(subject: Subject) -> dict[str, Any]:
    return {name: value(subject) for name, value in _VALUES.items()}


class _Reader:
    """Converts the policies of one configuration."""

    def __init__(
        self, configuration: pb.TenantConfiguration, calendars: Mapping[str, CalendarSpec], findings: Findings
    ) -> None:
        self._configuration = configuration
        self._calendars = calendars
        self._findings = findings
        self._queues = {queue.name for queue in configuration.queues}
        self._webhooks = {webhook.name for webhook in configuration.webhooks}
        self._together = Together()

    def policy(self, policy: pb.SlaPolicy, here: Path, condition: Condition | None) -> Policy | None:
        """Return a policy; None if an error was reported."""
        find, errors = self._findings.find, self._findings.error_count
        low, high = (
            getattr(policy, name) if policy.HasField(name) else None
            for name in ("priority_at_least", "priority_at_most")
        )
        if low is not None and high is not None and low > high:
            message = f"policy `{policy.name}`: no priority is at least {low} and at most {high}; exchange them"
            find("PRIORITY_RANGE", message, *here, "priority_at_least")
        if policy.when:
            of = f"policy `{policy.name}`"
            check_condition(self._findings, self._together, policy.when, VARIABLES, of, *here, "when")
        self._findings.find_unknown("calendar", policy.calendar, self._calendars, *here, "calendar")
        targets = [
            self._target(target, f"{name_of(target)} of policy `{policy.name}`", (*here, "targets", j))
            for j, target in enumerate(policy.targets)
        ]
        self._agreement(policy, here)
        pauses = sorted(set(policy.pause_until_scheduled))
        if any(kind not in Target._value2member_map_ for kind in pauses):
            find("NO_TARGET_KIND", "`pause_until_scheduled` names a target of an unknown kind", *here)
        if self._findings.error_count > errors:
            return None
        plan = self._plan(policy, tuple(target for target in targets if target is not None), map(Target, pauses))
        return Policy(
            plan,
            frozenset(policy.queues),
            frozenset(policy.channels),
            frozenset(policy.tiers),
            frozenset(policy.languages),
            low,
            high,
            condition,
            policy.applies_to_open,
        )

    def _plan(self, policy: pb.SlaPolicy, targets: tuple[TargetPlan, ...], pauses: Iterable[Target]) -> Plan:
        spec = self._calendars[policy.calendar] if policy.calendar else None
        content = sha256(policy.SerializeToString(deterministic=True) + repr(spec).encode()).hexdigest()[:12]
        version = self._configuration.version
        return Plan(
            plan_id=f"{self._configuration.tenant}/{version}/{policy.name}/{content}",
            policy=policy.name,
            config_version=version,
            targets=targets,
            calendar=spec,
            pause_while_customer_awaited=policy.pause_while_customer_awaited,
            pause_until_scheduled=tuple(pauses) or SCHEDULE_PAUSES,
            orders_queue=policy.orders_queue,
        )

    def _agreement(self, policy: pb.SlaPolicy, here: Path) -> None:
        """Check that each kind appears once, and that no target is due later than one that can only come after it."""
        places: dict[int, int] = {}
        for j, target in enumerate(policy.targets):
            if target.kind in places:
                message = f"policy `{policy.name}` has two targets of one kind: keep one"
                self._findings.find("DUPLICATE", message, *here, "targets", j)
            places.setdefault(target.kind, j)
        for first, then in _IN_ORDER:
            if first not in places or then not in places:
                continue
            before, after = levels(policy.targets[places[first]])[1], levels(policy.targets[places[then]])[1]
            if before > after > 0:
                message = (
                    f"policy `{policy.name}` has {first.name.lower()} within {duration(before)}, but {then.name.lower()}, which comes "
                    f"later, within {duration(after)}: shorten the first or lengthen the second"
                )
                self._findings.find("CONTRADICTING_TARGETS", message, *here, "targets", places[first], "adequate_ms")

    def _target(self, target: pb.SlaTarget, what: str, here: Path) -> TargetPlan | None:
        find, errors = self._findings.find, self._findings.error_count
        if target.kind not in Target._value2member_map_:
            find("NO_TARGET_KIND", _NO_KIND, *here)
        desired, adequate = levels(target)
        if desired <= 0:
            find("TARGET_OF_ZERO", f"{what}: `desired` and `adequate` must be longer than zero", *here)
        elif desired > adequate:
            message = f"`desired` of {what} ({duration(desired)}) is later than `adequate` ({duration(adequate)}): exchange them"
            find("CONTRADICTING_LEVELS", message, *here)
        elif adequate > _MOST_MS:
            find("OUT_OF_RANGE", f"{what} is longer than ten years: shorten it", *here)
        else:
            self._escalations(target, what, here, self._warnings(target, what, here, adequate))
        self._prediction(target, (*here, "predict"))
        if self._findings.error_count > errors:
            return None
        plan = TargetPlan.of(
            Target(target.kind),
            desired,
            adequate,
            target.warn_at,
            target.escalate_priority,
            warn_before=target.warn_before_ms,
            warn_after=target.warn_after_ms,
            escalations=[
                Escalation(Point(escalation.at), _action(escalation), escalation.warning or 1)
                for escalation in target.escalations
            ],
        )
        if not target.HasField("predict"):
            return plan
        wanted = target.predict
        return replace(plan, predict_probability=wanted.probability, predict_priority=wanted.add_priority)

    def _warnings(self, target: pb.SlaTarget, what: str, here: Path, adequate: int) -> int:
        """Check a target's warnings. Returns the number of distinct warning times."""
        times = set()
        for j, share in enumerate(target.warn_at):
            if not 0 < share < 1:
                self._findings.find(
                    "WARNING_SHARE", f"`warn_at` of {what} must lie between 0 and 1", *here, "warn_at", j
                )
            else:
                times.add(max(1, round(share * adequate)))
        given = [("warn_before", j, adequate - before) for j, before in enumerate(target.warn_before_ms)]
        given += [("warn_after", j, after) for j, after in enumerate(target.warn_after_ms)]
        for key, j, after in given:
            if not 0 < after < adequate:
                message = f"`{key}` of {what} must lie between its start and `adequate`, {duration(adequate)} later"
                self._findings.find("WARNING_TOO_LATE", message, *here, key, j)
            times.add(after)
        if len(target.warn_at) + len(given) > _MOST_WARNINGS:
            message = f"{what} has more than {_MOST_WARNINGS} warnings: leave some out"
            self._findings.find("OUT_OF_RANGE", message, *here)
        return len(times)

    def _escalations(self, target: pb.SlaTarget, what: str, here: Path, warnings: int) -> None:
        find = self._findings.find
        if len(target.escalations) > _MOST_ESCALATIONS:
            find("OUT_OF_RANGE", f"{what} has more than {_MOST_ESCALATIONS} escalations: leave some out", *here)
        for j, escalation in enumerate(target.escalations):
            place: Path = (*here, "escalations", j)
            self._findings.find_unknown("webhook", escalation.webhook, self._webhooks, *place, "webhook")
            self._findings.find_unknown("queue", escalation.queue, self._queues, *place, "queue")
            if escalation.at not in Point._value2member_map_:
                find("NO_POINT", f"an escalation of {what} needs `at`: warning, desired_passed or breach", *place)
            elif Point(escalation.at) is Point.WARNING and not 1 <= (escalation.warning or 1) <= warnings:
                message = (
                    f"{what} is escalated at warning {escalation.warning or 1}, but has {warnings}: "
                    "give `warn_at`, `warn_before` or `warn_after`"
                )
                find("NO_SUCH_WARNING", message, *place)
            if _action(escalation) == Action():
                message = f"an escalation of {what} has no action: give it add_priority, requirements, a queue, a webhook or supervisor"
                find("NO_ACTION", message, *place)

    def _prediction(self, target: pb.SlaTarget, here: Path) -> None:
        if not target.HasField("predict"):
            return
        if not 0 < target.predict.probability < 1:
            message = "`probability` must lie between 0 and 1, e.g. 0.7: a less likely breach is not reported"
            self._findings.find("PREDICTION_PROBABILITY", message, *here)
        if not 0 <= target.predict.add_priority <= MOST_PRIORITY:
            self._findings.find("OUT_OF_RANGE", f"`add_priority` must lie between 0 and {MOST_PRIORITY:,}", *here)


def _action(escalation: pb.SlaEscalation) -> Action:
    return Action(
        escalation.add_priority,
        escalation.queue,
        escalation.webhook,
        escalation.supervisor,
        tuple(requirement.SerializeToString(deterministic=True) for requirement in escalation.requirements),
    )
