"""Which SLA policy, and so which targets, hold for an interaction.

The first policy that matches is chosen, once: when the interaction is first queued or scheduled. The choice is frozen
as a `Plan` (with targets and calendar) and kept with the interaction, so a later configuration changes nothing for it,
unless that configuration asks for it (`services/sla/domain/policy_changes.py`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from services.policy.model.calendars import CalendarSpec
from services.policy.model.webhooks import Endpoint


class Target(IntEnum):
    """What a target measures. The numbers are stored in the state: they never change."""

    PICK_UP = 1
    FIRST_RESPONSE = 2
    NEXT_RESPONSE = 3
    RESOLUTION = 4


class Level(IntEnum):
    """Level of a target. The numbers are stored in the state too."""

    NONE = 0
    DESIRED = 1
    ADEQUATE = 2


class Point(IntEnum):
    """When an escalation happens. The numbers are those of the API contract."""

    WARNING = 1
    DESIRED_PASSED = 2
    BREACH = 3


@dataclass(frozen=True, slots=True)
class Action:
    """The effects of passing a milestone. `requirements` are serialized messages of the API contract: the
    router reads them, this service does not."""

    add_priority: int = 0
    queue: str = ""
    webhook: str = ""
    supervisor: bool = False
    requirements: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Escalation:
    """An action and when it happens. `warning` counts from 1; it has no meaning at other points."""

    point: Point
    action: Action
    warning: int = 1


@dataclass(frozen=True, slots=True)
class Milestone:
    """A point in a target's calendar time. A warning has a share and no level; a breach has a level."""

    after_ms: int
    level: Level = Level.NONE
    share: float = 0.0
    escalate_priority: int = 0
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target with its levels. `milestones` are sorted by time; the last one is the breach of the adequate level."""

    target: Target
    desired_ms: int
    adequate_ms: int
    milestones: tuple[Milestone, ...]
    predict_probability: float = 0.0
    """From this probability of a breach on, a prediction is reported; 0 reports none."""
    predict_priority: int = 0
    """Added to the priority when the prediction is reported."""

    @staticmethod
    def of(
        target: Target,
        desired_ms: int,
        adequate_ms: int,
        warn_at: Iterable[float] = (),
        escalate_priority: int = 0,
        *,
        warn_before: Iterable[int] = (),
        warn_after: Iterable[int] = (),
        escalations: Iterable[Escalation] = (),
    ) -> "TargetPlan":
        """Build a target from levels in milliseconds of calendar time, 0 < desired <= adequate. Warnings are given as
        shares of the adequate level between 0 and 1 (`warn_at`), as milliseconds before it (`warn_before`), or as
        milliseconds after the start (`warn_after`). Two warnings at the same instant are one.

        Raises ValueError for levels that contradict each other, warnings that are not between the start and the
        adequate level, and escalations at a warning that does not exist.
        """
        if not 0 < desired_ms <= adequate_ms:
            raise ValueError(f"levels must be 0 < desired <= adequate, not {desired_ms} and {adequate_ms} ms")
        times = _warnings(adequate_ms, warn_at, warn_before, warn_after)
        escalations = tuple(escalations)
        for escalation in escalations:
            if escalation.point is Point.WARNING and not 1 <= escalation.warning <= len(times):
                raise ValueError(
                    f"an escalation names warning {escalation.warning}, but there are {len(times)} warnings"
                )

        def actions(point: Point, warning: int = 1) -> tuple[Action, ...]:
            return tuple(
                e.action
                for e in escalations
                if e.point is point and (point is not Point.WARNING or e.warning == warning)
            )

        warnings = [
            Milestone(
                after_ms,
                share=share,
                escalate_priority=escalate_priority if number == 1 else 0,
                actions=actions(Point.WARNING, number),
            )
            for number, (after_ms, share) in enumerate(sorted(times.items()), 1)
        ]
        levels = [
            Milestone(desired_ms, Level.DESIRED, actions=actions(Point.DESIRED_PASSED)),
            Milestone(adequate_ms, Level.ADEQUATE, actions=actions(Point.BREACH)),
        ]
        milestones = sorted(warnings + levels, key=lambda m: (m.after_ms, m.level))
        return TargetPlan(target, desired_ms, adequate_ms, tuple(milestones))

    def warning_number(self, index: int) -> int:
        """Return the number of a warning, from 1; 0 if the milestone is a level."""
        if self.milestones[index].level is not Level.NONE:
            return 0
        return sum(milestone.level is Level.NONE for milestone in self.milestones[: index + 1])


def _warnings(
    adequate_ms: int, warn_at: Iterable[float], warn_before: Iterable[int], warn_after: Iterable[int]
) -> dict[int, float]:
    """Return the times of warnings after the start, with the share of the adequate level at each."""
    found: dict[int, float] = {}
    for share in warn_at:
        if not 0 < share < 1:
            raise ValueError(f"the share of a warning must be between 0 and 1, not {share}")
        found[max(1, round(share * adequate_ms))] = share
    for after_ms in (*(adequate_ms - before for before in warn_before), *warn_after):
        if not 0 < after_ms < adequate_ms:
            raise ValueError(
                f"a warning {after_ms} ms after the start is not between the start and the adequate level ({adequate_ms} ms)"
            )
        found.setdefault(after_ms, after_ms / adequate_ms)
    return found


SCHEDULE_PAUSES: Final = (Target.PICK_UP, Target.FIRST_RESPONSE)
"""Targets that are paused until an agreed time (a callback), if the policy names no others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The targets that hold for an interaction, frozen. `calendar` None means round the clock."""

    plan_id: str
    policy: str
    config_version: int
    targets: tuple[TargetPlan, ...]
    calendar: CalendarSpec | None = None
    pause_while_customer_awaited: bool = False
    pause_until_scheduled: tuple[Target, ...] = SCHEDULE_PAUSES
    orders_queue: bool = False

    def target(self, wanted: Target) -> TargetPlan | None:
        """Return the plan of one target; None if the policy does not have it."""
        for plan in self.targets:
            if plan.target is wanted:
                return plan
        return None

    def ordering(self) -> Target | None:
        """Return the target by which the queue is ordered; None if the policy does not order the queue."""
        if not self.orders_queue:
            return None
        for wanted in (Target.PICK_UP, Target.FIRST_RESPONSE):
            if self.target(wanted) is not None:
                return wanted
        return None

    def holds(self, target: Target, *, awaited: bool, scheduled: bool) -> bool:
        """Return whether a target's clock is paused: the resolution while a reply from the customer is awaited
        (responses have been given then, and the customer cannot delay a pick-up), and the targets that the policy
        names until an agreed time."""
        if awaited and self.pause_while_customer_awaited and target is Target.RESOLUTION:
            return True
        return scheduled and target in self.pause_until_scheduled

    def says_as(self, other: "Plan") -> bool:
        """Return whether two plans have the same targets and rules, whatever their names."""
        return (
            self.policy == other.policy
            and self.targets == other.targets
            and self.calendar == other.calendar
            and self.pause_while_customer_awaited == other.pause_while_customer_awaited
            and self.pause_until_scheduled == other.pause_until_scheduled
            and self.orders_queue == other.orders_queue
        )


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Subject:
    """Attributes of an interaction that a policy may ask about, as known when it was first queued. `labels` are
    sorted by name; `priority` is the interaction's own."""

    queue: str = ""
    channel: str = ""
    tier: str = ""
    language: str = ""
    priority: int = 0
    labels: tuple[tuple[str, str], ...] = ()


NOTHING_KNOWN: Final = Subject()

Condition = Callable[[Subject], bool]
"""Returns false also if the condition cannot be evaluated. Must depend on nothing but the subject, and must not
raise."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which interactions a plan is for. An empty set, or None, matches any."""

    plan: Plan
    queues: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    priority_at_least: int | None = None
    priority_at_most: int | None = None
    condition: Condition | None = field(default=None, compare=False)
    applies_to_open: bool = False
    """Whether open interactions that match take this plan over when the configuration changes."""

    def matches(self, subject: Subject) -> bool:
        """Return whether this interaction is covered. The condition is expensive, so it comes last."""
        return (
            (not self.queues or subject.queue in self.queues)
            and (not self.channels or subject.channel in self.channels)
            and (not self.tiers or subject.tier in self.tiers)
            and (not self.languages or any(_is_variety(subject.language, language) for language in self.languages))
            and (self.priority_at_least is None or subject.priority >= self.priority_at_least)
            and (self.priority_at_most is None or subject.priority <= self.priority_at_most)
            and (self.condition is None or self.condition(subject))
        )


@dataclass(frozen=True, slots=True)
class PolicyList:
    """A tenant's policies, in the order in which they are tried, and the version of the configuration that they come
    from."""

    version: int
    policies: tuple[Policy, ...]
    spam: frozenset[str] = field(default=frozenset(), kw_only=True)
    """Dispositions of the tenant's own that mean spam."""


@dataclass(frozen=True, slots=True)
class TenantPolicies(PolicyList):
    """One tenant's policies, and the webhooks to notify, by name."""

    webhooks: Mapping[str, Endpoint]
    time_zone: str = "UTC"
    """Zone in which hours and days of measures begin."""
    language: str = ""


def _is_variety(language: str, of: str) -> bool:
    """Return whether a language tag is a variety of another: `fa-IR` is a variety of `fa`, and so is `fa`."""
    given, wanted = language.lower().replace("_", "-"), of.lower()
    return given == wanted or given.startswith(f"{wanted}-")


def choose(policies: Iterable[Policy], subject: Subject) -> Policy | None:
    """Return the first policy that matches; None means that the interaction has no targets."""
    for policy in policies:
        if policy.matches(subject):
            return policy
    return None
