"""How open interactions come under a new configuration.

A policy with `applies_to_open` takes over the open interactions that match it now, by the attributes that were known
when each interaction was first queued. To check all interactions of a tenant takes a while, so they are checked in
portions, between batches. It does not matter which of them are done already, because an interaction that has the new
plan is left unchanged. The version is written down only when all are done. An owner that takes the partition over
before that begins again, and the result is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.policy.model.sla import NOTHING_KNOWN, Level, Plan, PolicyList, Subject, choose
from services.sla.domain import deadlines as dl
from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.facts import Occurrence, OccurrenceKind
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.occurrences import occurrence
from services.sla.domain.tracked_interactions import TrackedInteractions

_A_CHANGE: Final = 9


@dataclass(slots=True)
class _Task:
    wanted: PolicyList
    left: list[str] = field(default_factory=list)


class PolicyChanges:
    """Checks open interactions against configuration versions that they have not been checked against yet. Not
    concurrent."""

    def __init__(self, tracked: TrackedInteractions) -> None:
        self._tracked = tracked
        self._tasks: dict[str, _Task] = {}

    @property
    def busy(self) -> bool:
        """Return whether some interactions have not been checked yet."""
        return bool(self._tasks)

    def look(self, in_force: Mapping[str, PolicyList], now_ms: int, most: int) -> list[Occurrence]:
        """Check up to `most` interactions; one that changes counts as ten or more, because it takes that much longer
        than a check alone."""
        for tenant, wanted in in_force.items():
            task = self._tasks.get(tenant)
            if (task.wanted.version if task else self._tracked.versions.get(tenant)) != wanted.version:
                self._begin(tenant, wanted)
        found: list[Occurrence] = []
        while self._tasks and most > 0:
            tenant, task = next(iter(self._tasks.items()))
            while task.left and most > 0:
                most -= 1
                interaction = self._tracked.interactions.get(task.left.pop())
                if interaction is not None and not interaction.closed_at_ms:
                    changes = self._hold_against(interaction, task.wanted, now_ms)
                    most -= _A_CHANGE if changes else 0
                    found += changes
            if not task.left:
                del self._tasks[tenant]
                self._tracked.taken_over(tenant, task.wanted.version)
        return found

    def _begin(self, tenant: str, wanted: PolicyList) -> None:
        task = self._tasks[tenant] = _Task(wanted)
        if any(policy.applies_to_open for policy in wanted.policies):
            task.left = [
                interaction.interaction_id
                for interaction in self._tracked.interactions.values()
                if interaction.tenant == tenant and not interaction.closed_at_ms
            ]

    def _hold_against(self, interaction: TrackedInteraction, wanted: PolicyList, now_ms: int) -> list[Occurrence]:
        tracked = self._tracked
        subject = (
            Subject(interaction.queue, interaction.channel)
            if interaction.subject == NOTHING_KNOWN
            else interaction.subject
        )
        policy = choose(wanted.policies, subject)
        old = tracked.plans[interaction.plan_id]
        if policy is None or not policy.applies_to_open or policy.plan.says_as(old):
            return []
        # Times never go backwards for one interaction, even if this process's clock is behind the router's.
        at_ms = max(now_ms, interaction.last_ms)
        before = interaction.next_due()
        changes = _Change(tracked, interaction, old, policy.plan, at_ms)
        changes.apply()
        tracked.arm(interaction, before)
        return changes.found


class _Change:
    """Moves one interaction from one plan to another."""

    def __init__(
        self, tracked: TrackedInteractions, interaction: TrackedInteraction, old: Plan, new: Plan, at_ms: int
    ) -> None:
        self._tracked, self._interaction, self._old, self._new, self._at_ms = tracked, interaction, old, new, at_ms
        self.found: list[Occurrence] = []

    def apply(self) -> None:
        interaction, tracked = self._interaction, self._tracked
        time_before = tracked.time_of(interaction)
        kept: list[Deadline] = []
        for deadline in interaction.deadlines:
            old, new = self._old.target(deadline.target), self._new.target(deadline.target)
            if old is None:
                continue
            if new is not None:
                kept.append(deadline)
            elif deadline.open:
                dues = deadline.due_of(Level.DESIRED, old), deadline.due_of(Level.ADEQUATE, old)
                dl.decide(deadline, State.CANCELLED, self._at_ms, time_before)
                tracked.open_by_target[deadline.target] -= 1
                self._report(OccurrenceKind.CANCELLED, deadline, self._old, dues)
        old_plan = self._old
        tracked.replan(interaction, self._new)
        interaction.deadlines = kept
        time = tracked.time_of(interaction)
        for deadline in kept:
            old, new = old_plan.target(deadline.target), self._new.target(deadline.target)
            if old is None or new is None:
                continue
            if not deadline.open:
                dl.keep_shown(deadline, old, new)
                continue
            holds = self._new.holds(
                deadline.target, awaited=interaction.waits_for_customer, scheduled=interaction.scheduled
            )
            stops, starts = holds and deadline.state is State.RUNNING, not holds and deadline.state is State.PAUSED
            if stops:
                dl.pause(deadline, self._at_ms, time_before)
            dl.take_over(deadline, old, new, self._at_ms, time)
            if starts:
                dl.resume(deadline, new, self._at_ms, time)
            dues = deadline.due_of(Level.DESIRED, new), deadline.due_of(Level.ADEQUATE, new)
            self._report(OccurrenceKind.CHANGED, deadline, self._new, dues)
            if stops or starts:
                self._report(OccurrenceKind.PAUSED if stops else OccurrenceKind.RESUMED, deadline, self._new, dues)

    def _report(self, kind: OccurrenceKind, deadline: Deadline, plan: Plan, dues: tuple[int, int]) -> None:
        interaction = self._interaction
        changed = kind is OccurrenceKind.CHANGED and deadline.state is State.RUNNING
        self.found.append(
            occurrence(
                kind,
                interaction,
                deadline,
                plan.policy,
                cause=f"{interaction.interaction_id}.adopted.{self._new.config_version}",
                ordinal=len(self.found),
                now_ms=self._at_ms,
                dues=dues,
                used_ms=deadline.used_ms,
                reason="POLICY_CHANGED",
                orders_queue=changed and not interaction.due_given and deadline.target is plan.ordering(),
            )
        )
