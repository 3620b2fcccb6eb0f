"""One deadline and its clock.

    RUNNING <-> PAUSED        while a reply from the customer is awaited, or until an agreed time
       |           |
       +-----+-----+---> MET         fulfilled not later than the adequate level
             |     +---> CANCELLED   the customer left, the interaction was cancelled, or nothing was left to answer
             +---------> BREACHED    the adequate level passed
    MET ------> RUNNING              the reply that met it did not arrive (`rearm`)

A milestone (a warning, the desired level, the adequate level) is passed once in a deadline's life, in order, and never before its
time. An event exactly at the due time of a level still keeps it. After MET, BREACHED or CANCELLED no occurrence is emitted any more;
a breached deadline that is fulfilled late is only counted (`late`). The one exception: when an event turns up that happened before a level
passed and would have ended or paused the clock, the level is withdrawn (`withdraw`), and the deadline lives on as if the clock had waited.

`dues` are instants, calculated when the clock starts or resumes; `used_ms` is the calendar time used before `since_ms`.
"""

from dataclasses import dataclass
from enum import IntEnum

from services.policy.model.business_time import BusinessTime
from services.policy.model.sla import Level, Milestone, Target, TargetPlan


class State(IntEnum):
    """State of a deadline. The numbers are stored in the lane's state."""

    RUNNING = 1
    PAUSED = 2
    MET = 3
    BREACHED = 4
    CANCELLED = 5


@dataclass(slots=True)
class Deadline:
    """One deadline: one instance of a target for one interaction."""

    target: Target
    epoch: int
    state: State
    since_ms: int
    used_ms: int = 0
    passed: int = 0
    """Number of milestones passed, or skipped on the way."""
    dues: tuple[int, ...] = ()
    """Due time of each milestone of the target; empty while paused."""
    met_level: Level = Level.NONE
    late: bool = False
    """Fulfilled, but after the adequate level."""
    skip: int = 0
    """Bit i: milestone i fired under an earlier plan, and does not fire again."""
    revision: int = 0
    """Number of times its plan has changed, or a level was withdrawn: what fires afterwards is a new event."""
    fired: int = 0
    """What fired under all earlier plans: bit 0 is the desired level, bit n is warning n."""
    judged: int = 0
    """Bit i: milestone i passed while the clock ran, since it last started. Only such levels can be withdrawn."""
    counted_ms: int = 0
    """The time under which the breach, or that it was met, was counted."""
    met_ms: int = 0
    """When it was met; 0 when it was not, or the reply that met it did not arrive."""

    @property
    def open(self) -> bool:
        """Whether the deadline is still undecided."""
        return self.state is State.RUNNING or self.state is State.PAUSED

    @property
    def next_index(self) -> int:
        """Index of the milestone that is passed next; the number of milestones if none remains."""
        at = self.passed
        if self.skip:
            while self.skip >> at & 1:
                at += 1
        return at

    @property
    def next_due(self) -> int | None:
        """When the next milestone is due; None while no milestone can fire."""
        if self.state is not State.RUNNING:
            return None
        at = self.passed if not self.skip else self.next_index
        return self.dues[at] if at < len(self.dues) else None

    def used_at(self, at_ms: int, time: BusinessTime) -> int:
        """Return the calendar time used up to an instant, in milliseconds."""
        return self.used_ms + time.elapsed(self.since_ms, at_ms) if self.state is State.RUNNING else self.used_ms

    def due_of(self, level: Level, plan: TargetPlan) -> int:
        """Return when a level is due; 0 while paused."""
        for milestone, due in zip(plan.milestones, self.dues, strict=False):
            if milestone.level is level:
                return due
        return 0


def start(plan: TargetPlan, epoch: int, at_ms: int, time: BusinessTime) -> Deadline:
    """Return a deadline whose clock runs from `at_ms`."""
    deadline = Deadline(plan.target, epoch, State.RUNNING, at_ms)
    deadline.dues = _dues(plan, deadline, time)
    return deadline


def continue_as(old: Deadline, plan: TargetPlan, at_ms: int, time: BusinessTime) -> Deadline:
    """Return the next instance of a deadline for an interaction that is open again. It continues with the time used
    so far, and milestones that were already reported are not reported again."""
    deadline = Deadline(plan.target, old.epoch + 1, State.RUNNING, at_ms, old.used_ms, old.passed, skip=old.skip)
    deadline.revision, deadline.fired = old.revision, old.fired
    deadline.dues = _dues(plan, deadline, time)
    return deadline


def pause(deadline: Deadline, at_ms: int, time: BusinessTime) -> None:
    """Stop the clock of a running deadline."""
    deadline.used_ms = deadline.used_at(at_ms, time)
    deadline.state = State.PAUSED
    deadline.dues = ()


def resume(deadline: Deadline, plan: TargetPlan, at_ms: int, time: BusinessTime) -> None:
    """Let the clock of a paused deadline run again."""
    deadline.state = State.RUNNING
    deadline.since_ms = at_ms
    deadline.judged = 0
    deadline.dues = _dues(plan, deadline, time)


def decide(deadline: Deadline, state: State, at_ms: int, time: BusinessTime) -> None:
    """End an open deadline: MET with the level that it still held, or CANCELLED."""
    deadline.used_ms = deadline.used_at(at_ms, time)
    deadline.state = state


def rearm(deadline: Deadline, plan: TargetPlan, time: BusinessTime) -> None:
    """Let the clock of a met deadline run as if it had never been met: with the same start and the same due times."""
    if deadline.dues:
        deadline.used_ms -= time.elapsed(deadline.since_ms, deadline.met_ms)
        deadline.state = State.RUNNING
        deadline.dues = _dues(plan, deadline, time)
    else:
        resume(deadline, plan, deadline.met_ms, time)  # its clock did not run
    deadline.met_level, deadline.met_ms = Level.NONE, 0


def attained(deadline: Deadline, plan: TargetPlan) -> Level:
    """Return the level that an open deadline would keep if it were fulfilled now. Its past milestones must have been
    passed before."""
    for index, milestone in enumerate(plan.milestones):
        if milestone.level is Level.DESIRED:
            return Level.ADEQUATE if index < deadline.passed or deadline.skip >> index & 1 else Level.DESIRED
    return Level.DESIRED


def pass_milestone(deadline: Deadline, plan: TargetPlan, time: BusinessTime) -> Milestone:
    """Pass the next milestone of a running deadline. Its due time must have come."""
    index = deadline.next_index
    milestone = plan.milestones[index]
    if milestone.level is Level.ADEQUATE:
        # The clock stops at the due instant: later time no longer counts as used.
        deadline.used_ms = deadline.used_at(deadline.dues[index], time)
        deadline.state = State.BREACHED
    deadline.passed = index + 1
    deadline.judged |= 1 << index
    return milestone


def withdraw(deadline: Deadline, plan: TargetPlan, at_ms: int, time: BusinessTime) -> list[Milestone]:
    """Take back the levels that passed although something happened at `at_ms`, not after they were due, and return them. The clock runs again.
    Warnings in between are not taken back, and do not fire again."""
    if deadline.state is not State.RUNNING and deadline.state is not State.BREACHED:
        return []
    false = [
        index
        for index, milestone in enumerate(plan.milestones)
        if milestone.level is not Level.NONE and deadline.judged >> index & 1 and deadline.dues[index] >= at_ms
    ]
    if not false:
        return []
    if deadline.state is State.BREACHED:
        deadline.used_ms -= time.elapsed(deadline.since_ms, deadline.dues[false[-1]])
        deadline.state = State.RUNNING
    for index in range(false[0], deadline.passed):
        if index not in false:
            deadline.skip |= 1 << index
        deadline.judged &= ~(1 << index)
    deadline.passed = false[0]
    deadline.revision += 1
    return [plan.milestones[index] for index in false]


def take_over(deadline: Deadline, old: TargetPlan, new: TargetPlan, at_ms: int, time: BusinessTime) -> None:
    """Put an open deadline under another plan of its target. Due times count from the deadline's own start, none is
    before `at_ms`. A level that has fired, or the warning of the same number, does not fire again. `time` is the
    new plan's."""
    for index in range(len(old.milestones)):
        if index < deadline.passed or deadline.skip >> index & 1:
            deadline.fired |= 1 << old.warning_number(index)
    deadline.skip = sum(
        1 << index
        for index, milestone in enumerate(new.milestones)
        if milestone.level is not Level.ADEQUATE and deadline.fired >> new.warning_number(index) & 1
    )
    deadline.passed = deadline.judged = 0
    deadline.revision += 1
    if deadline.state is State.RUNNING:
        deadline.dues = tuple(max(at_ms, due) for due in _dues(new, deadline, time))


def keep_shown(deadline: Deadline, old: TargetPlan, new: TargetPlan) -> None:
    """Keep the due times that a decided deadline shows, in the places where the new plan has them."""
    if deadline.dues:
        desired, adequate = deadline.due_of(Level.DESIRED, old), deadline.due_of(Level.ADEQUATE, old)
        deadline.dues = tuple(desired if m.level is Level.DESIRED else adequate for m in new.milestones)


def _dues(plan: TargetPlan, deadline: Deadline, time: BusinessTime) -> tuple[int, ...]:
    """Return the due time of each milestone. A milestone that has been passed keeps no time of its own: it is shown
    as due when the clock (re)started."""
    since, used = deadline.since_ms, deadline.used_ms
    return tuple(time.add(since, max(0, m.after_ms - used)) for m in plan.milestones)
