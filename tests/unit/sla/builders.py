"""Builders with default values."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from services.policy.model.calendars import CalendarSpec
from services.policy.model.sla import Plan, Policy, PolicyList, Target, TargetPlan
from services.policy.reading.business_calendar import caching_calendars
from services.sla.domain.engine import Engine
from services.sla.domain.facts import Occurrence, RoutingFact, RoutingFactKind
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.policy_changes import PolicyChanges
from services.sla.domain.tracked_interactions import CalendarOf, TrackedInteractions
from services.sla.translate import state

T0 = 1_700_000_000_000
MINUTE = 60_000
FORGET_AFTER = 10 * MINUTE


def a_target(
    target: Target = Target.PICK_UP,
    desired: int = 10 * MINUTE,
    adequate: int = 20 * MINUTE,
    warn_at: tuple[float, ...] = (0.75,),
    escalate: int = 5,
) -> TargetPlan:
    return TargetPlan.of(target, desired, adequate, warn_at, escalate)


def all_targets() -> tuple[TargetPlan, ...]:
    return tuple(a_target(target) for target in Target)


@cache
def calendars() -> CalendarOf:
    return caching_calendars()


def a_policy(
    *targets: TargetPlan,
    name: str = "standard",
    calendar: CalendarSpec | None = None,
    pause: bool = True,
    queues: Iterable[str] = (),
    channels: Iterable[str] = (),
    tiers: Iterable[str] = (),
    version: int = 1,
    orders: bool = False,
    **of: Any,
) -> Policy:
    plan = Plan(f"acme/{version}/{name}", name, version, targets or all_targets(), calendar, pause, orders_queue=orders)
    return Policy(plan, frozenset(queues), frozenset(channels), frozenset(tiers), **of)


def a_fact(
    kind: RoutingFactKind,
    at: int = T0,
    *,
    interaction: str = "i1",
    epoch: int = 0,
    arrived: int = 0,
    queue: str = "sales",
    channel: str = "webchat",
    tier: str = "",
    agent: str = "sara",
    again: bool = False,
    **more: Any,
) -> RoutingFact:
    return RoutingFact(
        kind,
        f"e-{interaction}-{kind.name}-{at}-{epoch}",
        "acme",
        "default",
        interaction,
        f"c-{interaction}",
        queue,
        channel,
        tier,
        at,
        arrived or at,
        epoch,
        agent,
        again,
        **more,
    )


class Watched:
    """An engine with its tracked interactions, and all occurrences that it has reported."""

    def __init__(self, *policies: Policy) -> None:
        self.policies = policies or (a_policy(),)
        self.tracked = TrackedInteractions(calendars(), FORGET_AFTER)
        self.engine = Engine(self.tracked)
        self.policy_changes = PolicyChanges(self.tracked)
        self.reported: list[Occurrence] = []

    def happens(self, kind: RoutingFactKind, at: int = T0, *, read_at: int = 0, **fact: object) -> list[str]:
        """Apply a fact, read when it occurred or later; return the new occurrences in short form."""
        found = self.engine.handle(a_fact(kind, at, **fact), self.policies, read_at or at)  # type: ignore[arg-type]  # the builder's own keywords
        self.reported += found
        return short(found)

    def clock(self, at: int) -> list[str]:
        """Let the time pass, and return the new occurrences in short form."""
        found = self.engine.advance(at, at)
        self.reported += found
        return short(found)

    def configured(self, at: int, *policies: Policy, version: int, most: int = 1_000) -> list[str]:
        """Put another configuration into force."""
        self.policies = policies
        found = self.policy_changes.look({"acme": PolicyList(version, policies)}, at, most)
        self.reported += found
        return short(found)

    def restored(self) -> "Watched":
        """Return another engine with the same state, restored from bytes."""
        other = Watched(*self.policies)
        for interaction in self.tracked.interactions.values():
            kept = state.decode(state.interaction_key(interaction.interaction_id), state.encode(interaction))
            assert isinstance(kept, TrackedInteraction)
            other.tracked.restore_interaction(kept)
        for plan in self.tracked.plans.values():
            kept_plan = state.decode(state.plan_key(plan.plan_id), state.encode(plan))
            assert isinstance(kept_plan, Plan)
            other.tracked.restore_plan(kept_plan)
        for tenant, version in self.tracked.versions.items():
            kept_version = state.decode(state.version_key(tenant), state.encode(version))
            assert isinstance(kept_version, state.KeptVersion)
            other.tracked.restore_version(kept_version.tenant, kept_version.version)
        for key, tally in self.tracked.tallies.items():
            kept_tally = state.decode(state.tally_key(key), state.encode(tally))
            assert isinstance(kept_tally, state.KeptTally)
            other.tracked.restore_tally(kept_tally.key, kept_tally.tally)
        return other


def short(occurrences: list[Occurrence]) -> list[str]:
    """Return a short form: "PICK_UP SET", "PICK_UP WARNED 0.75", "PICK_UP DESIRED_PASSED DESIRED", "NEXT_RESPONSE#2 MET
    ADEQUATE"."""
    return [
        f"{o.target.name}{f'#{o.epoch}' if o.epoch > 1 else ''} {o.kind.name}"
        + (f" {o.share:g}" if o.share and not o.action else f" {o.level.name}" if o.level else "")
        for o in occurrences
    ]
