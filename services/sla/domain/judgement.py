"""What one fact means for the clocks of one interaction.

- Pick-up runs from the first time in a queue (or the scheduled start) to the first assignment. First response and
  resolution run from the arrival. Next response runs from the first customer message after an agent's reply to the next
  reply.
- Work that returns to a queue from an agent, or after its completion, waits for us again, also when we wrote last: a new
  pick-up runs from the return, and what waited for the customer goes on until an agent replies.
- Other transfers, overflow and re-queueing change nothing.
- A reply is a response when it was sent, if its outcome is reported. Completion does not wait for the outcome of a reply
  that is on its way: the reply counts.
- A reply that did not arrive is not a response. If no other reply since the customer's last message arrived, the targets
  that it met run again with their original clocks, and the customer is no longer awaited.
- A customer who leaves waits for no answer: first and next response are cancelled.
- The resolution clock is paused while a reply from the customer is awaited or the customer has left, if the policy says
  so. Pick-up and first response (or the targets that the policy names) are paused until an agreed time.
"""

from typing import Final, assert_never

from services.policy.model.sla import Level, Target
from services.sla.domain import deadlines as dl
from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.facts import Occurrence, OccurrenceKind, RoutingFact, RoutingFactKind
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.occurrences import occurrence
from services.sla.domain.tracked_interactions import TrackedInteractions

KEPT_INSTANCES: Final = 8
"""Number of instances of next response and of pick-up that stay readable; a long conversation has hundreds."""
KEPT_REPLIES: Final = 8
"""Number of replies in a row of which a failure is noticed."""


class Judgement:
    """Applies one fact at its time. The caller arms the interaction afterwards.

    A fact that ends or pauses a clock withdraws the levels that had been reported as passed and were due not before the
    fact: the clock had been decided before the fact was read.
    """

    def __init__(
        self, tracked: TrackedInteractions, interaction: TrackedInteraction, fact: RoutingFact, at_ms: int, now_ms: int
    ) -> None:
        self._tracked = tracked
        self._interaction = interaction
        self._fact = fact
        self._at_ms = at_ms
        self._now_ms = now_ms
        self.found: list[Occurrence] = []

    def result(self) -> list[Occurrence]:
        """Apply the fact and return the occurrences."""
        interaction = self._interaction
        match self._fact.kind:
            case RoutingFactKind.QUEUED:
                self._queued()
            case RoutingFactKind.SCHEDULED:
                interaction.scheduled = True
                self._hold("SCHEDULED", "")
            case RoutingFactKind.ASSIGNED:
                self._tracked.hand(interaction, self._fact.agent_id)
                self._fulfil(Target.PICK_UP, "ASSIGNED")
                self._start_now("ASSIGNED")
            case RoutingFactKind.AGENT_REPLIED:
                self._tracked.hand(interaction, self._fact.agent_id or interaction.agent_id)
                self._replied()
            case RoutingFactKind.REPLY_WRITTEN:
                self._tracked.hand(interaction, self._fact.agent_id or interaction.agent_id)
                interaction.unsent = (*interaction.unsent, self._fact.reply_id)[-KEPT_REPLIES:]
            case RoutingFactKind.REPLY_SENT:
                self._settled()
                self._replied()
            case RoutingFactKind.REPLY_FAILED:
                self._reply_failed()
            case RoutingFactKind.CUSTOMER_MESSAGED:
                self._customer_messaged()
            case RoutingFactKind.CUSTOMER_LEFT:
                self._customer_left()
            case RoutingFactKind.MOVED:
                pass  # queue and time were taken over already; the deadlines do not change
            case RoutingFactKind.COMPLETED:
                if interaction.unsent:
                    self._replied()  # it is on its way
                    interaction.unsent = ()
                self._fulfil(Target.RESOLUTION, "COMPLETED")
                interaction.completed = True
                self._cancel_rest("COMPLETED", abandoned=False)
            case RoutingFactKind.ABANDONED:
                self._cancel_rest("ABANDONED", abandoned=True)
            case RoutingFactKind.CANCELLED:
                self._cancel_rest(self._fact.reason or "CANCELLED", abandoned=False)
            case never:
                assert_never(never)
        return self.found

    def set(self, target: Target, since_ms: int, epoch: int = 1, reason: str = "") -> None:
        """Set a deadline, if the plan has the target."""
        plan = self._tracked.plans[self._interaction.plan_id].target(target)
        if plan is not None:
            deadline = dl.start(plan, epoch, since_ms, self._tracked.time_of(self._interaction))
            self._add(deadline, reason or self._fact.kind.name)

    def _add(self, deadline: Deadline, reason: str) -> None:
        self._interaction.deadlines.append(deadline)
        self._tracked.open_by_target[deadline.target] += 1
        self._report(OccurrenceKind.SET, deadline, reason)

    def _reopen(self) -> None:
        """Reopen a completed interaction that is queued again: decided deadlines stay decided, and the resolution
        clock continues with the time used so far."""
        interaction = self._interaction
        if not interaction.closed_at_ms:
            return
        interaction.closed_at_ms, interaction.completed, interaction.customer_awaited = 0, False, False
        resolution = interaction.latest(Target.RESOLUTION)
        if resolution is not None and resolution.state is State.MET:
            plan = self._tracked.target_plan(interaction, resolution)
            self._add(dl.continue_as(resolution, plan, self._at_ms, self._tracked.time_of(interaction)), "REOPENED")

    def _start_now(self, reason: str) -> None:
        """End the wait for the agreed time: it has come, or an agent took the interaction before it."""
        if self._interaction.scheduled:
            self._interaction.scheduled = False
            self._hold("", reason)

    def _queued(self) -> None:
        interaction = self._interaction
        had, reopened = bool(interaction.agent_id), interaction.closed_at_ms > 0
        self._tracked.hand(interaction, "")
        self._reopen()
        self._start_now("SCHEDULE_DUE")
        if had or reopened:
            self._return(reopened=reopened)

    def _return(self, *, reopened: bool) -> None:
        """Begin a wait in a queue. A pick-up that no agent met goes on, and a breached one is not repeated."""
        interaction = self._interaction
        interaction.returned, interaction.parting = True, interaction.unsent
        before = interaction.latest(Target.PICK_UP)
        if before is None or before.state is State.MET or before.late or (reopened and not before.open):
            self.set(Target.PICK_UP, self._at_ms, before.epoch + 1 if before else 1, "RETURNED")
            self._forget_oldest(Target.PICK_UP)
        self._hold("", "RETURNED")

    def _replied(self) -> None:
        interaction, reply_id = self._interaction, self._fact.reply_id
        if not reply_id or reply_id not in interaction.parting:
            interaction.returned, interaction.parting = False, ()
        if reply_id and reply_id not in interaction.replies:
            interaction.replies = (*interaction.replies, reply_id)[-KEPT_REPLIES:]
        for target in (Target.FIRST_RESPONSE, Target.NEXT_RESPONSE):
            if self._fulfil(target, "AGENT_REPLIED") and reply_id:
                interaction.answered = (*interaction.answered, target)
        interaction.customer_awaited = True
        self._hold("CUSTOMER_AWAITED", "")

    def _settled(self) -> None:
        unsent = self._interaction.unsent
        self._interaction.unsent = tuple(each for each in unsent if each != self._fact.reply_id)

    def _reply_failed(self) -> None:
        interaction, reply_id = self._interaction, self._fact.reply_id
        self._settled()
        if reply_id not in interaction.replies:
            return  # it never met anything, or the customer has written since
        interaction.replies = tuple(each for each in interaction.replies if each != reply_id)
        if interaction.replies:
            return  # another reply arrived
        rearmed, interaction.answered = interaction.answered, ()
        for target in rearmed:
            self._rearm(target)
        interaction.customer_awaited = False
        self._hold("", "REPLY_FAILED")

    def _rearm(self, target: Target) -> None:
        interaction, tracked = self._interaction, self._tracked
        deadline = interaction.latest(target)
        if deadline is None or deadline.state is not State.MET:
            return
        tally = tracked.tally(interaction, target, deadline.counted_ms)
        if deadline.met_level is Level.DESIRED:
            tally.met_desired -= 1
        else:
            tally.met_adequate -= 1
        dl.rearm(deadline, tracked.target_plan(interaction, deadline), tracked.time_of(interaction))
        tracked.open_by_target[target] += 1
        self._report(OccurrenceKind.REARMED, deadline, self._fact.reason)

    def _customer_messaged(self) -> None:
        interaction = self._interaction
        interaction.replies, interaction.answered = (), ()
        if not interaction.customer_awaited:
            return  # no agent has replied yet: the running clock continues
        interaction.customer_awaited = False
        before = interaction.latest(Target.NEXT_RESPONSE)
        self.set(Target.NEXT_RESPONSE, self._at_ms, before.epoch + 1 if before else 1)
        self._forget_oldest(Target.NEXT_RESPONSE)
        self._hold("", "CUSTOMER_MESSAGED")

    def _forget_oldest(self, target: Target) -> None:
        instances = [d for d in self._interaction.deadlines if d.target is target]
        for old in instances[:-KEPT_INSTANCES]:
            self._interaction.deadlines.remove(old)

    def _customer_left(self) -> None:
        """They wait for no answer. If they come back, they wait from their next message on, and what was paused goes on."""
        self._cancel("CUSTOMER_LEFT", Target.FIRST_RESPONSE, Target.NEXT_RESPONSE)
        self._interaction.customer_awaited, self._interaction.returned = True, False
        self._hold("CUSTOMER_LEFT", "")

    def _hold(self, pausing: str, resuming: str) -> None:
        """Pause and resume clocks according to the current state of the interaction."""
        interaction = self._interaction
        plan, time = self._tracked.plans[interaction.plan_id], self._tracked.time_of(interaction)
        for deadline in interaction.deadlines:
            still = plan.holds(deadline.target, awaited=interaction.waits_for_customer, scheduled=interaction.scheduled)
            if still:
                self._withdraw(deadline)
            if still and deadline.state is State.RUNNING:
                dl.pause(deadline, self._at_ms, time)
                self._report(OccurrenceKind.PAUSED, deadline, pausing)
            elif not still and deadline.state is State.PAUSED:
                dl.resume(deadline, self._tracked.target_plan(interaction, deadline), self._at_ms, time)
                self._report(OccurrenceKind.RESUMED, deadline, resuming)

    def _fulfil(self, target: Target, reason: str) -> bool:
        """End the newest deadline of a target; returns whether it is met now."""
        deadline = self._interaction.latest(target)
        if deadline is None:
            return False
        self._withdraw(deadline)
        if deadline.open:
            plan = self._tracked.target_plan(self._interaction, deadline)
            tally = self._tracked.tally(self._interaction, target, self._now_ms)
            deadline.met_level = dl.attained(deadline, plan)
            if deadline.met_level is Level.DESIRED:
                tally.met_desired += 1
            else:
                tally.met_adequate += 1
            deadline.counted_ms, deadline.met_ms = self._now_ms, self._at_ms
            self._decide(OccurrenceKind.MET, State.MET, deadline, reason)
            return True
        if deadline.state is State.BREACHED and not deadline.late:
            deadline.late = True
            self._tracked.tally(self._interaction, target, self._now_ms).late += 1
        return False

    def _cancel(self, reason: str, *targets: Target) -> None:
        for deadline in self._interaction.deadlines:
            if deadline.target in targets:
                self._withdraw(deadline)
                if deadline.open:
                    self._decide(OccurrenceKind.CANCELLED, State.CANCELLED, deadline, reason)

    def _cancel_rest(self, reason: str, *, abandoned: bool) -> None:
        for deadline in self._interaction.deadlines:
            self._withdraw(deadline)
            if deadline.open:
                if abandoned:
                    self._tracked.tally(self._interaction, deadline.target, self._now_ms).abandoned += 1
                self._decide(OccurrenceKind.CANCELLED, State.CANCELLED, deadline, reason)
        self._tracked.close(self._interaction, self._now_ms)

    def _withdraw(self, deadline: Deadline) -> None:
        """Withdraw the levels that passed too early, as this fact shows."""
        if not deadline.judged:
            return
        interaction, tracked = self._interaction, self._tracked
        plan = tracked.target_plan(interaction, deadline)
        breached_at_ms = deadline.counted_ms
        for milestone in dl.withdraw(deadline, plan, self._at_ms, tracked.time_of(interaction)):
            if milestone.level is Level.ADEQUATE:
                tracked.open_by_target[deadline.target] += 1
                tracked.tally(interaction, deadline.target, breached_at_ms).breached -= 1
            self._report(OccurrenceKind.CORRECTED, deadline, "EARLIER_EVENT", level=milestone.level)

    def _decide(self, kind: OccurrenceKind, state: State, deadline: Deadline, reason: str) -> None:
        plan = self._tracked.target_plan(self._interaction, deadline)
        dues = deadline.due_of(Level.DESIRED, plan), deadline.due_of(Level.ADEQUATE, plan)
        dl.decide(deadline, state, self._at_ms, self._tracked.time_of(self._interaction))
        self._tracked.open_by_target[deadline.target] -= 1
        self._report(kind, deadline, reason, dues)

    def _report(
        self,
        kind: OccurrenceKind,
        deadline: Deadline,
        reason: str,
        dues: tuple[int, int] | None = None,
        level: Level | None = None,
    ) -> None:
        interaction = self._interaction
        plan = self._tracked.plans[interaction.plan_id]
        if dues is None:
            target = self._tracked.target_plan(interaction, deadline)
            dues = deadline.due_of(Level.DESIRED, target), deadline.due_of(Level.ADEQUATE, target)
        runs = kind is OccurrenceKind.SET or kind is OccurrenceKind.RESUMED
        self.found.append(
            occurrence(
                kind,
                interaction,
                deadline,
                plan.policy,
                cause=self._fact.event_id,
                ordinal=len(self.found),
                now_ms=self._now_ms,
                dues=dues,
                used_ms=deadline.used_ms,
                reason=reason,
                level=level,
                orders_queue=runs and not interaction.due_given and deadline.target is plan.ordering(),
            )
        )
