"""Which promises hold for a piece of work.

The first policy whose queue, channel and tier match counts, chosen once: when the work is first queued. What was chosen is frozen as
a `Plan` (targets, calendar and all) and kept with the work, so a later configuration changes nothing for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

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


@dataclass(frozen=True, slots=True)
class Milestone:
    """A point of a target's calendar time. A warning has a share and no level; a breach has a level."""

    after_ms: int
    level: Level = Level.NONE
    share: float = 0.0
    escalate_priority: int = 0


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
        target: Target, desired_ms: int, adequate_ms: int, warn_at: Iterable[float] = (), escalate_priority: int = 0
    ) -> "TargetPlan":
        """Levels in milliseconds of calendar time, 0 < desired <= adequate; shares of the adequate level, between 0 and 1.

        Raises ValueError for levels that contradict each other and for shares out of range.
        """
        if not 0 < desired_ms <= adequate_ms:
            raise ValueError(f"levels must be 0 < desired <= adequate, not {desired_ms} and {adequate_ms} ms")
        shares = sorted(set(warn_at))
        if any(not 0 < share < 1 for share in shares):
            raise ValueError(f"warnings are given at shares between 0 and 1, not {shares}")
        warnings = [
            Milestone(max(1, round(share * adequate_ms)), share=share, escalate_priority=0 if at else escalate_priority)
            for at, share in enumerate(shares)
        ]
        breaches = [Milestone(desired_ms, Level.DESIRED), Milestone(adequate_ms, Level.ADEQUATE)]
        return TargetPlan(
            target, desired_ms, adequate_ms, tuple(sorted(warnings + breaches, key=lambda m: (m.after_ms, m.level)))
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The promises that hold for a piece of work, frozen. `calendar` None is round the clock."""

    plan_id: str
    policy: str
    config_version: int
    targets: tuple[TargetPlan, ...]
    calendar: CalendarSpec | None = None
    pause_while_customer_awaited: bool = False

    def target(self, wanted: Target) -> TargetPlan | None:
        """The plan of one target, if it is promised."""
        for plan in self.targets:
            if plan.target is wanted:
                return plan
        return None


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom a plan is for; an empty set means any."""

    plan: Plan
    queues: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()

    def matches(self, queue: str, channel: str, tier: str) -> bool:
        """Whether this work is covered."""
        return (
            (not self.queues or queue in self.queues)
            and (not self.channels or channel in self.channels)
            and (not self.tiers or tier in self.tiers)
        )


def choose(policies: Iterable[Policy], queue: str, channel: str, tier: str) -> Plan | None:
    """The plan of the first policy that matches; None promises nothing."""
    for policy in policies:
        if policy.matches(queue, channel, tier):
            return policy.plan
    return None
