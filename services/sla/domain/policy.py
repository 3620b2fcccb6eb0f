"""Which promises hold for a piece of work.

The first policy that matches counts, chosen once: when the work is first queued or scheduled. What was chosen is frozen as a `Plan`
(targets, calendar and all) and kept with the work, so a later configuration changes nothing for it, unless it says so (`adoption.py`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from services.sla.domain.calendar import CalendarSpec


class Target(IntEnum):
    """What is promised. The numbers are kept in the state: they never change."""

    PICK_UP = 1
    FIRST_RESPONSE = 2
    NEXT_RESPONSE = 3
    RESOLUTION = 4


class Level(IntEnum):
    """How well. Also kept in the state."""

    NONE = 0
    DESIRED = 1
    ADEQUATE = 2


class Point(IntEnum):
    """When something is escalated. The numbers are the contract's."""

    WARNING = 1
    DESIRED_PASSED = 2
    BREACH = 3


@dataclass(frozen=True, slots=True)
class Action:
    """What is asked for when a milestone is passed. `requirements` are the contract's bytes: the router reads them, nobody here does."""

    add_priority: int = 0
    queue: str = ""
    webhook: str = ""
    supervisor: bool = False
    requirements: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Escalation:
    """An action and when it happens. `warning` counts from 1; it means nothing at other points."""

    point: Point
    action: Action
    warning: int = 1


@dataclass(frozen=True, slots=True)
class Milestone:
    """A point of a target's calendar time. A warning has a share and no level; a breach has a level."""

    after_ms: int
    level: Level = Level.NONE
    share: float = 0.0
    escalate_priority: int = 0
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target. `milestones` by time; the last one is the breach of the adequate level."""

    target: Target
    desired_ms: int
    adequate_ms: int
    milestones: tuple[Milestone, ...]
    predict_probability: float = 0.0
    """From here on it is told that the promise will probably be broken; 0 tells nothing."""
    predict_priority: int = 0
    """Added to the priority then."""

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
        """Levels in milliseconds of calendar time, 0 < desired <= adequate. Warnings at shares of the adequate level between 0 and 1, so many
        milliseconds before it, or so many after the start; two of one instant are one.

        Raises ValueError for levels that contradict each other, warnings not between start and adequate level, and escalations at a warning
        that there is not.
        """
        if not 0 < desired_ms <= adequate_ms:
            raise ValueError(f"levels must be 0 < desired <= adequate, not {desired_ms} and {adequate_ms} ms")
        times = _warnings(adequate_ms, warn_at, warn_before, warn_after)
        escalations = tuple(escalations)
        for escalation in escalations:
            if escalation.point is Point.WARNING and not 1 <= escalation.warning <= len(times):
                raise ValueError(
                    f"something is escalated at warning {escalation.warning}, but there are {len(times)} warnings"
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
        """Which warning a milestone is, from 1; 0 for a level."""
        if self.milestones[index].level is not Level.NONE:
            return 0
        return sum(milestone.level is Level.NONE for milestone in self.milestones[: index + 1])


def _warnings(
    adequate_ms: int, warn_at: Iterable[float], warn_before: Iterable[int], warn_after: Iterable[int]
) -> dict[int, float]:
    """Times after the start, and the shares of the adequate level that they are."""
    found: dict[int, float] = {}
    for share in warn_at:
        if not 0 < share < 1:
            raise ValueError(f"warnings are given at shares between 0 and 1, not {share}")
        found[max(1, round(share * adequate_ms))] = share
    for after_ms in (*(adequate_ms - before for before in warn_before), *warn_after):
        if not 0 < after_ms < adequate_ms:
            raise ValueError(
                f"a warning {after_ms} ms after the start is not between start and adequate level ({adequate_ms} ms)"
            )
        found.setdefault(after_ms, after_ms / adequate_ms)
    return found


SCHEDULE_PAUSES: Final = (Target.PICK_UP, Target.FIRST_RESPONSE)
"""What an agreed time (a callback) stops, if the policy names nothing else."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The promises that hold for a piece of work, frozen. `calendar` None is round the clock."""

    plan_id: str
    policy: str
    config_version: int
    targets: tuple[TargetPlan, ...]
    calendar: CalendarSpec | None = None
    pause_while_customer_awaited: bool = False
    pause_until_scheduled: tuple[Target, ...] = SCHEDULE_PAUSES
    orders_queue: bool = False

    def target(self, wanted: Target) -> TargetPlan | None:
        """The plan of one target, if it is promised."""
        for plan in self.targets:
            if plan.target is wanted:
                return plan
        return None

    def ordering(self) -> Target | None:
        """The target by which a queue is ordered."""
        if not self.orders_queue:
            return None
        for wanted in (Target.PICK_UP, Target.FIRST_RESPONSE):
            if self.target(wanted) is not None:
                return wanted
        return None

    def holds(self, target: Target, *, awaited: bool, scheduled: bool) -> bool:
        """Whether a target's clock stands still: the resolution while the customer is awaited (responses are given then, and a pick-up
        is not for him to delay), and what the policy names until an agreed time."""
        if awaited and self.pause_while_customer_awaited and target is Target.RESOLUTION:
            return True
        return scheduled and target in self.pause_until_scheduled

    def says_as(self, other: "Plan") -> bool:
        """Whether two plans promise the same, whatever they are called."""
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
    """What a policy may ask about, as it was known when the work was first queued. `labels` are sorted by name; `priority` is its own."""

    queue: str = ""
    channel: str = ""
    tier: str = ""
    language: str = ""
    priority: int = 0
    labels: tuple[tuple[str, str], ...] = ()


NOTHING_KNOWN: Final = Subject()

Condition = Callable[[Subject], bool]
"""False also where it can't be told. Must depend on nothing else, and must not raise."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom a plan is for; an empty set, or None, means any."""

    plan: Plan
    queues: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    priority_at_least: int | None = None
    priority_at_most: int | None = None
    condition: Condition | None = field(default=None, compare=False)
    applies_to_open: bool = False
    """Whether open work that matches takes this plan over when the configuration changes."""

    def matches(self, subject: Subject) -> bool:
        """Whether this work is covered. The condition, which is dear, comes last."""
        return (
            (not self.queues or subject.queue in self.queues)
            and (not self.channels or subject.channel in self.channels)
            and (not self.tiers or subject.tier in self.tiers)
            and (not self.languages or any(_is_variety(subject.language, language) for language in self.languages))
            and (self.priority_at_least is None or subject.priority >= self.priority_at_least)
            and (self.priority_at_most is None or subject.priority <= self.priority_at_most)
            and (self.condition is None or self.condition(subject))
        )


def _is_variety(language: str, of: str) -> bool:
    """`fa-IR` is a variety of `fa`, and so is `fa`."""
    given, wanted = language.lower().replace("_", "-"), of.lower()
    return given == wanted or given.startswith(f"{wanted}-")


def choose(policies: Iterable[Policy], subject: Subject) -> Policy | None:
    """The first policy that matches; None promises nothing."""
    for policy in policies:
        if policy.matches(subject):
            return policy
    return None
