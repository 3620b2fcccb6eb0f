"""The deadlines of one partition.

    fact ──▶ milestones of this interaction that were due before the fact, then the fact itself ──▶ occurrences
    time ──▶ milestones that are due, interactions to forget ──▶ occurrences

- A fact counts at its own time (`occurred_at_ms`), not at the time when it is read: a reply given in time keeps the deadline, however
  late its event is read, provided that the clock has not fired meanwhile (`lanes/deadlines.py` says how far the clock may go).
- `judgement.py` says what each fact means for the clocks, `policy_changes.py` what a new configuration means; docs/sla.md is the rule.
- The plan is chosen at the first queueing (or scheduling). An interaction that no policy covers is not tracked.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from services.policy.model.sla import Level, Plan, Policy, Subject, Target, choose
from services.sla.domain import deadlines as dl
from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.facts import OPENING, Occurrence, OccurrenceKind, RoutingFact, RoutingFactKind
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.judgement import Judgement
from services.sla.domain.occurrences import occurrence
from services.sla.domain.tracked_interactions import TrackedInteractions

_PASSED: Final[Mapping[Level, OccurrenceKind]] = MappingProxyType(
    {
        Level.NONE: OccurrenceKind.WARNED,
        Level.DESIRED: OccurrenceKind.DESIRED_PASSED,
        Level.ADEQUATE: OccurrenceKind.BREACHED,
    }
)
"""What the passing of a milestone is."""


class Engine:
    """Applies routing facts and the clock to the interactions that it tracks."""

    def __init__(self, tracked: TrackedInteractions) -> None:
        self._tracked = tracked

    def advance(self, until_ms: int, now_ms: int) -> list[Occurrence]:
        """Pass all milestones that were due at or before `until_ms`. `until_ms` is not later than `now_ms`, the
        lane's time."""
        found: list[Occurrence] = []
        while (due := self._tracked.take_due(until_ms)) is not None:
            found += self._pass(*due, now_ms)
            self._tracked.arm(due[0])
        return found

    def handle(self, fact: RoutingFact, policies: Iterable[Policy], now_ms: int) -> list[Occurrence]:
        """Apply one event of the router."""
        tracked = self._tracked
        interaction = tracked.interactions.get(fact.interaction_id)
        if interaction is None:
            if fact.kind not in OPENING or fact.again:
                return []
            subject = Subject(fact.queue, fact.channel, fact.tier, fact.language, fact.priority, fact.labels)
            policy = choose(policies, subject)
            if policy is None or not policy.plan.targets:
                return []
            return self._open(fact, policy.plan, subject, now_ms)
        if fact.epoch and fact.epoch <= interaction.last_epoch:
            return []
        if interaction.closed_at_ms and not (
            interaction.completed and fact.again and fact.kind is RoutingFactKind.QUEUED
        ):
            return []
        before = None if interaction.closed_at_ms else interaction.next_due()
        at_ms = max(fact.occurred_at_ms, interaction.last_ms)
        now_ms = max(now_ms, at_ms)
        found = self._pass_before(interaction, at_ms, now_ms)
        interaction.last_epoch = max(interaction.last_epoch, fact.epoch)
        interaction.last_ms = at_ms
        if fact.queue and fact.queue != interaction.queue:
            tracked.move(interaction, fact.queue)
        tracked.touch(interaction)
        found += Judgement(tracked, interaction, fact, at_ms, now_ms).result()
        if fact.kind is RoutingFactKind.REPLY_FAILED:
            # Milestones that were due while the response seemed to be met. The lane is not late: it could not know.
            found += self._pass_before(interaction, at_ms, now_ms, rearmed=True)
        tracked.arm(interaction, before)
        return found

    def _open(self, fact: RoutingFact, plan: Plan, subject: Subject, now_ms: int) -> list[Occurrence]:
        """Begin to track an interaction. Its clocks start at the scheduled time or now; targets that count from the
        arrival start at the arrival."""
        interaction = TrackedInteraction(
            fact.interaction_id,
            fact.conversation_id,
            fact.tenant,
            fact.pool,
            fact.queue,
            fact.channel,
            plan.plan_id,
            last_epoch=fact.epoch,
            last_ms=fact.occurred_at_ms,
            subject=subject,
            due_given=fact.due_at_ms > 0,
        )
        self._tracked.add(interaction, plan)
        judgement = Judgement(self._tracked, interaction, fact, fact.occurred_at_ms, max(now_ms, fact.occurred_at_ms))
        waits_from = max(fact.start_at_ms, fact.occurred_at_ms)
        arrived = fact.arrived_at_ms or waits_from
        judgement.set(Target.PICK_UP, waits_from)
        judgement.set(Target.FIRST_RESPONSE, min(arrived, waits_from))
        judgement.set(Target.RESOLUTION, min(arrived, waits_from))
        self._tracked.arm(interaction)
        return judgement.found

    def _pass_before(
        self, interaction: TrackedInteraction, at_ms: int, now_ms: int, *, rearmed: bool = False
    ) -> list[Occurrence]:
        """Pass the milestones that were due before a fact and have not been passed yet, in the order of time. `rearmed`:
        they were not due until the fact."""
        due: list[tuple[int, int, int, int, Deadline]] = []
        found: list[Occurrence] = []
        for deadline in interaction.deadlines:
            if deadline.state is State.RUNNING:
                left = enumerate(deadline.dues[deadline.passed :], deadline.passed)
                due += [
                    (due_ms, deadline.target, deadline.epoch, index, deadline)
                    for index, due_ms in left
                    if due_ms < at_ms and not deadline.skip >> index & 1
                ]
        for *_, deadline in sorted(due, key=lambda item: item[:4]):
            found += self._pass(interaction, deadline, now_ms, rearmed=rearmed)
        return found

    def _pass(
        self, interaction: TrackedInteraction, deadline: Deadline, now_ms: int, *, rearmed: bool = False
    ) -> list[Occurrence]:
        tracked = self._tracked
        target, time, plan = (
            tracked.target_plan(interaction, deadline),
            tracked.time_of(interaction),
            tracked.plans[interaction.plan_id],
        )
        index = deadline.next_index
        due_ms = deadline.dues[index]
        used = deadline.used_at(due_ms, time)
        dues = deadline.due_of(Level.DESIRED, target), deadline.due_of(Level.ADEQUATE, target)
        milestone = dl.pass_milestone(deadline, target, time)
        tracked.touch(interaction)
        if milestone.level is Level.ADEQUATE:
            tracked.open_by_target[deadline.target] -= 1
            tracked.tally(interaction, deadline.target, now_ms).breached += 1
            deadline.counted_ms = now_ms
        # After a change of plan, the same index is a different milestone.
        revised = f".r{deadline.revision}" if deadline.revision else ""
        cause = f"{interaction.interaction_id}.{deadline.target.name}.{deadline.epoch}.{index}{revised}"
        reason = "SHARE_USED" if milestone.level is Level.NONE else "LEVEL_PASSED"

        def made(kind: OccurrenceKind, ordinal: int) -> Occurrence:
            return occurrence(
                kind,
                interaction,
                deadline,
                plan.policy,
                cause=cause,
                ordinal=ordinal,
                now_ms=now_ms,
                due_ms=0 if rearmed else due_ms,
                used_ms=used,
                dues=dues,
                milestone=milestone,
                reason=reason,
                warning=target.warning_number(index),
                action=milestone.actions[ordinal - 1] if ordinal else None,
            )

        first = made(_PASSED[milestone.level], 0)
        return [first, *(made(OccurrenceKind.ESCALATED, at) for at in range(1, len(milestone.actions) + 1))]
