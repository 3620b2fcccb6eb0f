"""The promises of one partition.

    fact ──▶ milestones of this interaction that were due before the fact, then the fact itself ──▶ occurrences
    time ──▶ milestones that are due, forgotten work ──▶ occurrences

- A fact is judged by its own time (`occurred_at_ms`), not by when it is read: an answer given in time keeps the promise however late
  its event is read, provided that the clock has not fired meanwhile (`pace.py` says how far the clock may go).
- Pick-up runs from the first time in a queue to the first assignment; first response and resolution run from the arrival; next
  response runs from the first customer message after an agent's reply to the next reply. Transfers and re-queueing change nothing.
- The plan is chosen at the first queueing and never again. Work that no policy covers is not tracked.
"""

from collections.abc import Iterable
from typing import Final, assert_never

from services.sla.domain import deadlines as dl
from services.sla.domain.book import Book
from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.facts import Fact, FactKind, Occurrence, OccurrenceKind
from services.sla.domain.policy import Level, Milestone, Plan, Policy, Target, choose
from services.sla.domain.work import Work

KEPT_NEXT_RESPONSES: Final = 8
"""Instances of next response that stay readable; a long conversation has hundreds."""


class Engine:
    """Decides about what its book holds."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def advance(self, until_ms: int, now_ms: int) -> list[Occurrence]:
        """Passes everything that was due at or before `until_ms`, which is not after `now_ms`, the lane's time."""
        found: list[Occurrence] = []
        while (due := self._book.take_due(until_ms)) is not None:
            found.append(self._pass(*due, now_ms))
        return found

    def handle(self, fact: Fact, policies: Iterable[Policy], now_ms: int) -> list[Occurrence]:
        """One event of the router."""
        work = self._book.works.get(fact.interaction_id)
        if work is None:
            if fact.kind is not FactKind.QUEUED or fact.again:
                return []
            plan = choose(policies, fact.queue, fact.channel, fact.tier)
            return [] if plan is None or not plan.targets else self._open(fact, plan, now_ms)
        if work.closed_at_ms or (fact.epoch and fact.epoch <= work.last_epoch):
            return []
        at_ms = max(fact.occurred_at_ms, work.last_ms)
        now_ms = max(now_ms, at_ms)
        found = self._pass_before(work, at_ms, now_ms)
        work.last_epoch = max(work.last_epoch, fact.epoch)
        work.last_ms = at_ms
        work.queue = fact.queue or work.queue
        self._book.touch(work)
        found += _Judgement(self._book, work, fact, at_ms, now_ms).result()
        return found

    def _open(self, fact: Fact, plan: Plan, now_ms: int) -> list[Occurrence]:
        work = Work(
            fact.interaction_id,
            fact.conversation_id,
            fact.tenant,
            fact.pool,
            fact.queue,
            fact.channel,
            plan.plan_id,
            last_epoch=fact.epoch,
            last_ms=fact.occurred_at_ms,
        )
        self._book.add(work, plan)
        judgement = _Judgement(self._book, work, fact, fact.occurred_at_ms, max(now_ms, fact.occurred_at_ms))
        arrived = min(fact.arrived_at_ms or fact.occurred_at_ms, fact.occurred_at_ms)
        judgement.set(Target.PICK_UP, fact.occurred_at_ms)
        judgement.set(Target.FIRST_RESPONSE, arrived)
        judgement.set(Target.RESOLUTION, arrived)
        return judgement.found

    def _pass_before(self, work: Work, at_ms: int, now_ms: int) -> list[Occurrence]:
        """What was due before a fact and has not been passed, in the order of time."""
        due: list[tuple[int, int, int, Deadline]] = []
        found: list[Occurrence] = []
        for deadline in work.deadlines:
            if deadline.state is State.RUNNING:
                left = enumerate(deadline.dues[deadline.passed :], deadline.passed)
                due += [(due_ms, deadline.target, index, deadline) for index, due_ms in left if due_ms < at_ms]
        for _, _, _, deadline in sorted(due, key=lambda item: item[:3]):
            found.append(self._pass(work, deadline, now_ms))
        return found

    def _pass(self, work: Work, deadline: Deadline, now_ms: int) -> Occurrence:
        book = self._book
        plan, time = book.target_plan(work, deadline), book.time_of(work)
        index = deadline.passed
        due_ms = deadline.dues[index]
        used = deadline.used_at(due_ms, time)
        desired_at, adequate_at = deadline.due_of(Level.DESIRED, plan), deadline.due_of(Level.ADEQUATE, plan)
        milestone = dl.pass_milestone(deadline, plan, time)
        book.touch(work)
        book.arm(work, deadline)
        if milestone.level is Level.ADEQUATE:
            book.open_by_target[deadline.target] -= 1
            book.tally(work, deadline.target, now_ms).breached += 1
        return _occurrence(
            OccurrenceKind.WARNED if milestone.level is Level.NONE else OccurrenceKind.BREACHED,
            work,
            deadline,
            book.plans[work.plan_id].policy,
            cause=f"{work.interaction_id}.{deadline.target.name}.{deadline.epoch}.{index}",
            ordinal=0,
            now_ms=now_ms,
            due_ms=due_ms,
            used_ms=used,
            dues=(desired_at, adequate_at),
            milestone=milestone,
            reason="SHARE_USED" if milestone.level is Level.NONE else "LEVEL_PASSED",
        )


class _Judgement:
    """What one fact means for one piece of work."""

    def __init__(self, book: Book, work: Work, fact: Fact, at_ms: int, now_ms: int) -> None:
        self._book = book
        self._work = work
        self._fact = fact
        self._at_ms = at_ms
        self._now_ms = now_ms
        self.found: list[Occurrence] = []

    def result(self) -> list[Occurrence]:
        """Applies the fact."""
        match self._fact.kind:
            case FactKind.QUEUED:
                self._work.agent_id = ""
            case FactKind.ASSIGNED:
                self._work.agent_id = self._fact.agent_id
                self._fulfil(Target.PICK_UP, "ASSIGNED")
            case FactKind.AGENT_REPLIED:
                self._work.agent_id = self._fact.agent_id or self._work.agent_id
                self._replied()
            case FactKind.CUSTOMER_MESSAGED:
                self._customer_messaged()
            case FactKind.MOVED:
                pass  # queue and time were taken over; the promise stands
            case FactKind.COMPLETED:
                self._fulfil(Target.RESOLUTION, "COMPLETED")
                self._cancel_rest("COMPLETED", abandoned=False)
            case FactKind.ABANDONED:
                self._cancel_rest("ABANDONED", abandoned=True)
            case FactKind.CANCELLED:
                self._cancel_rest("CANCELLED", abandoned=False)
            case never:
                assert_never(never)
        return self.found

    def set(self, target: Target, since_ms: int, epoch: int = 1, reason: str = "QUEUED") -> None:
        """Makes a promise, if the plan has it."""
        plan = self._book.plans[self._work.plan_id].target(target)
        if plan is None:
            return
        deadline = dl.start(plan, epoch, since_ms, self._book.time_of(self._work))
        self._work.deadlines.append(deadline)
        self._book.open_by_target[target] += 1
        self._book.arm(self._work, deadline)
        self._tell(OccurrenceKind.SET, deadline, reason)

    def _replied(self) -> None:
        self._fulfil(Target.FIRST_RESPONSE, "AGENT_REPLIED")
        self._fulfil(Target.NEXT_RESPONSE, "AGENT_REPLIED")
        self._work.customer_awaited = True
        resolution = self._work.latest(Target.RESOLUTION)
        pauses = self._book.plans[self._work.plan_id].pause_while_customer_awaited
        if pauses and resolution is not None and resolution.state is State.RUNNING:
            dl.pause(resolution, self._at_ms, self._book.time_of(self._work))
            self._tell(OccurrenceKind.PAUSED, resolution, "CUSTOMER_AWAITED")

    def _customer_messaged(self) -> None:
        if not self._work.customer_awaited:
            return  # nobody has answered yet: the clock that runs goes on
        self._work.customer_awaited = False
        before = self._work.latest(Target.NEXT_RESPONSE)
        self.set(Target.NEXT_RESPONSE, self._at_ms, before.epoch + 1 if before else 1, "CUSTOMER_MESSAGED")
        told = [d for d in self._work.deadlines if d.target is Target.NEXT_RESPONSE]
        for old in told[:-KEPT_NEXT_RESPONSES]:
            self._work.deadlines.remove(old)
        resolution = self._work.latest(Target.RESOLUTION)
        if resolution is not None and resolution.state is State.PAUSED:
            plan = self._book.target_plan(self._work, resolution)
            dl.resume(resolution, plan, self._at_ms, self._book.time_of(self._work))
            self._book.arm(self._work, resolution)
            self._tell(OccurrenceKind.RESUMED, resolution, "CUSTOMER_MESSAGED")

    def _fulfil(self, target: Target, reason: str) -> None:
        deadline = self._work.latest(target)
        if deadline is None:
            return
        if deadline.open:
            plan = self._book.target_plan(self._work, deadline)
            tally = self._book.tally(self._work, target, self._now_ms)
            deadline.met_level = dl.attained(deadline, plan)
            if deadline.met_level is Level.DESIRED:
                tally.kept_desired += 1
            else:
                tally.kept_adequate += 1
            self._decide(OccurrenceKind.MET, State.MET, deadline, reason)
        elif deadline.state is State.BREACHED and not deadline.late:
            deadline.late = True
            self._book.tally(self._work, target, self._now_ms).late += 1

    def _cancel_rest(self, reason: str, *, abandoned: bool) -> None:
        for deadline in self._work.deadlines:
            if deadline.open:
                if abandoned:
                    self._book.tally(self._work, deadline.target, self._now_ms).abandoned += 1
                self._decide(OccurrenceKind.CANCELLED, State.CANCELLED, deadline, reason)
        self._book.close(self._work, self._now_ms)

    def _decide(self, kind: OccurrenceKind, state: State, deadline: Deadline, reason: str) -> None:
        plan = self._book.target_plan(self._work, deadline)
        dues = deadline.due_of(Level.DESIRED, plan), deadline.due_of(Level.ADEQUATE, plan)
        dl.decide(deadline, state, self._at_ms, self._book.time_of(self._work))
        self._book.open_by_target[deadline.target] -= 1
        self._tell(kind, deadline, reason, dues)

    def _tell(self, kind: OccurrenceKind, deadline: Deadline, reason: str, dues: tuple[int, int] | None = None) -> None:
        plan = self._book.target_plan(self._work, deadline)
        if dues is None:
            dues = deadline.due_of(Level.DESIRED, plan), deadline.due_of(Level.ADEQUATE, plan)
        self.found.append(
            _occurrence(
                kind,
                self._work,
                deadline,
                self._book.plans[self._work.plan_id].policy,
                cause=self._fact.event_id,
                ordinal=len(self.found),
                now_ms=self._now_ms,
                due_ms=0,
                used_ms=deadline.used_ms,
                dues=dues,
                milestone=None,
                reason=reason,
            )
        )


def _occurrence(
    kind: OccurrenceKind,
    work: Work,
    deadline: Deadline,
    policy: str,
    *,
    cause: str,
    ordinal: int,
    now_ms: int,
    due_ms: int,
    used_ms: int,
    dues: tuple[int, int],
    milestone: Milestone | None,
    reason: str,
) -> Occurrence:
    level = deadline.met_level
    if milestone is not None:
        level = milestone.level or Level.ADEQUATE  # a warning is about the adequate level
    return Occurrence(
        kind=kind,
        cause=cause,
        ordinal=ordinal,
        tenant=work.tenant,
        pool=work.pool,
        interaction_id=work.interaction_id,
        conversation_id=work.conversation_id,
        queue=work.queue,
        channel=work.channel,
        agent_id=work.agent_id,
        policy=policy,
        target=deadline.target,
        epoch=deadline.epoch,
        level=level,
        desired_at_ms=dues[0],
        adequate_at_ms=dues[1],
        occurred_at_ms=now_ms,
        due_ms=due_ms,
        used_ms=used_ms,
        share=milestone.share if milestone else 0.0,
        escalate_priority=milestone.escalate_priority if milestone else 0,
        reason=reason,
    )
