"""Histories of interactions in any order, with new configurations, restores and late readers between any two steps:
the rules of docs/sla.md."""

from collections import Counter
from functools import cache
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.policy.model.sla import Action, Escalation, Point, Policy, Target, TargetPlan
from services.sla.domain.deadlines import State
from services.sla.domain.facts import Occurrence, OccurrenceKind, RoutingFactKind
from tests.unit.sla.builders import MINUTE, T0, Watched, a_policy

NAMES = st.sampled_from(["i1", "i2", "i3"])
PASSES = st.integers(0, 12) | st.integers(0, 40 * MINUTE)
EVERYWHERE = tuple(Escalation(point, Action(add_priority=1)) for point in Point)
Instance = tuple[str, Target, int]


@cache
def targets_of(number: int) -> tuple[TargetPlan, ...]:
    desired = (10, 3, 25, 10)[number] * MINUTE
    shares = ((0.5, 0.75), (0.25,), (0.75,), (0.9,))[number]
    return tuple(
        TargetPlan.of(target, desired, 2 * desired, shares, 5, escalations=EVERYWHERE)
        for target in Target
        if number != 3 or target is not Target.FIRST_RESPONSE
    )


def a_variant(number: int, version: int) -> Policy:
    """Return one of several configurations: with other levels, other warnings, one target fewer, with or without
    pauses."""
    return a_policy(*targets_of(number), pause=number != 2, version=version, applies_to_open=number != 1)


class Lives(RuleBasedStateMachine):
    """Three interactions, one engine, and the occurrences that it has reported."""

    @initialize()
    def begin(self) -> None:
        self.now = T0
        self.version = 1
        self.epoch = 0
        self.watched = Watched()
        self.configure(0)
        self.reported: Counter[tuple[Any, ...]] = Counter()
        self.causes: Counter[tuple[str, int]] = Counter()
        self.clocks: dict[Instance, tuple[int, int | None]] = {}
        self.ended: set[Instance] = set()
        self.starts: dict[str, int] = {}
        self.lives: Counter[str] = Counter()

    # ── ── events ──────────────────────────────────────────────────────────────────────────────────────────────────
    def fact(self, kind: RoutingFactKind, name: str, passes: int, late: int = 0, **of: Any) -> None:
        self.now += passes
        self.epoch += 1
        at = self.now
        name = self.named(name)
        self.now += late
        self.watched.reported = []
        self.watched.happens(kind, at, read_at=self.now, interaction=name, epoch=self.epoch, **of)
        self.look()

    def named(self, name: str) -> str:
        """Return the id of the current interaction of this name."""
        return f"{name}.{self.lives[name]}"

    def begins(self, name: str, start: int) -> bool:
        """Return whether a new interaction begins: the engine does not know the one before."""
        if self.named(name) in self.watched.tracked.interactions:
            return False
        self.lives[name] += 1
        self.starts[self.named(name)] = start
        return True

    @rule(name=NAMES, passes=PASSES)
    def queued(self, name: str, passes: int) -> None:
        again = not self.begins(name, self.now + passes)
        self.fact(RoutingFactKind.QUEUED, name, passes, again=again)

    @rule(name=NAMES, passes=PASSES, ahead=st.integers(1, 60 * MINUTE))
    def scheduled(self, name: str, passes: int, ahead: int) -> None:
        start = self.now + passes + ahead
        self.begins(name, start)
        self.fact(RoutingFactKind.SCHEDULED, name, passes, start_at_ms=start, arrived=start)

    @rule(
        name=NAMES,
        passes=PASSES,
        late=PASSES,
        kind=st.sampled_from([RoutingFactKind.ASSIGNED, RoutingFactKind.AGENT_REPLIED]),
    )
    def agent_acts(self, name: str, passes: int, late: int, kind: RoutingFactKind) -> None:
        self.fact(kind, name, passes, late)

    @rule(name=NAMES, passes=PASSES, late=PASSES)
    def customer_writes(self, name: str, passes: int, late: int) -> None:
        self.fact(RoutingFactKind.CUSTOMER_MESSAGED, name, passes, late)

    @rule(name=NAMES, passes=PASSES, late=PASSES)
    def customer_leaves(self, name: str, passes: int, late: int) -> None:
        self.fact(RoutingFactKind.CUSTOMER_LEFT, name, passes, late)
        interaction = self.watched.tracked.interactions.get(self.named(name))
        if interaction is not None and not interaction.closed_at_ms:
            waits = (Target.FIRST_RESPONSE, Target.NEXT_RESPONSE)
            assert not [each for each in interaction.deadlines if each.open and each.target in waits]

    @rule(name=NAMES, passes=PASSES)
    def moved(self, name: str, passes: int) -> None:
        self.fact(RoutingFactKind.MOVED, name, passes, queue="support", channel="email", tier="gold")

    @rule(
        name=NAMES,
        passes=PASSES,
        kind=st.sampled_from(
            [RoutingFactKind.COMPLETED, RoutingFactKind.COMPLETED, RoutingFactKind.ABANDONED, RoutingFactKind.CANCELLED]
        ),
    )
    def closed(self, name: str, passes: int, kind: RoutingFactKind) -> None:
        self.fact(kind, name, passes)

    @rule(passes=PASSES)
    def time_passes(self, passes: int) -> None:
        self.now += passes
        self.watched.reported = []
        self.watched.clock(self.now)
        self.look()
        due = self.watched.tracked.next_wakeup()
        assert due is None or due > self.now, "all due milestones have been passed"

    @rule(number=st.integers(0, 3))
    def configured(self, number: int) -> None:
        self.version += 1
        self.watched.reported = []
        self.configure(number)
        self.look()

    @rule()
    def another_owner(self) -> None:
        before = self.watched
        self.watched = before.restored()
        assert self.watched.tracked.interactions == before.tracked.interactions
        assert self.watched.tracked.open_by_target == before.tracked.open_by_target
        assert self.watched.tracked.next_wakeup() == before.tracked.next_wakeup()

    def configure(self, number: int) -> None:
        self.watched.configured(self.now, a_variant(number, self.version), version=self.version)

    # ── ── invariants ──────────────────────────────────────────────────────────────────────────────────────────────
    def look(self) -> None:
        for o in self.watched.reported:
            instance = (o.interaction_id, o.target, o.epoch)
            self.once(o, instance)
            assert instance not in self.ended, f"{o.kind.name} after the end"
            assert o.occurred_at_ms >= o.due_ms, "never early"
            self.clock(o, instance)
            breach = o.kind is OccurrenceKind.BREACHED
            if breach and not any(
                later.kind is OccurrenceKind.ESCALATED and later.cause == o.cause for later in self.watched.reported
            ):
                self.ended.add(instance)
            if o.kind in (OccurrenceKind.MET, OccurrenceKind.CANCELLED):
                self.ended.add(instance)
        # A breach ends its deadline after its escalations, which follow at once.
        for o in self.watched.reported:
            if o.kind is OccurrenceKind.BREACHED:
                self.ended.add((o.interaction_id, o.target, o.epoch))

    def once(self, o: Occurrence, instance: Instance) -> None:
        self.causes[o.cause, o.ordinal] += 1
        assert self.causes[o.cause, o.ordinal] == 1, "an id belongs to one occurrence"
        if o.kind in (OccurrenceKind.PAUSED, OccurrenceKind.RESUMED, OccurrenceKind.CHANGED):
            return
        point = o.warning or o.level.name
        key = (*instance, o.kind, point if o.kind is not OccurrenceKind.SET else None)
        self.reported[key] += 1
        assert self.reported[key] == 1, f"{key} twice"

    def clock(self, o: Occurrence, instance: Instance) -> None:
        """Check that the used time is the time between the reported starts and stops."""
        if o.kind is OccurrenceKind.SET:
            first = o.target is not Target.NEXT_RESPONSE and o.epoch == 1
            since = self.starts[o.interaction_id] if first else o.occurred_at_ms
            if o.target is Target.NEXT_RESPONSE or o.epoch > 1:
                since = self.watched.tracked.interactions[o.interaction_id].last_ms
            self.clocks[instance] = (o.used_ms, since)
            return
        used, since_ms = self.clocks[instance]
        at = self.watched.tracked.interactions[o.interaction_id].last_ms
        if o.reason == "POLICY_CHANGED":
            at = o.occurred_at_ms
        if o.kind is OccurrenceKind.RESUMED:
            assert since_ms is None
            self.clocks[instance] = (used, at)
        elif o.kind in (OccurrenceKind.PAUSED, OccurrenceKind.MET):
            expected = used if since_ms is None else used + max(0, at - since_ms)
            assert o.used_ms == expected, f"{o.kind.name} with {o.used_ms} ms used, not {expected}"
            self.clocks[instance] = (expected, None)
        elif o.kind in (OccurrenceKind.WARNED, OccurrenceKind.DESIRED_PASSED, OccurrenceKind.BREACHED):
            assert since_ms is not None, "no milestone fires while the clock is paused"

    @invariant()
    def counts_are_those_of_what_is_there(self) -> None:
        tracked = self.watched.tracked
        deadlines = [d for interaction in tracked.interactions.values() for d in interaction.deadlines]
        assert tracked.open_by_target == {t: sum(d.open and d.target is t for d in deadlines) for t in Target}
        assert set(tracked.plans) == {interaction.plan_id for interaction in tracked.interactions.values()}
        for interaction in tracked.interactions.values():
            if interaction.closed_at_ms:
                assert not any(d.open for d in interaction.deadlines)
            for deadline in interaction.deadlines:
                if deadline.state is State.RUNNING:
                    target = tracked.target_plan(interaction, deadline)
                    assert len(deadline.dues) == len(target.milestones)
                    assert list(deadline.dues) == sorted(deadline.dues)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=30, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow])
