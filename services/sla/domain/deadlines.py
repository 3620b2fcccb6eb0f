"""One promise and its clock.

    RUNNING <-> PAUSED        while the customer is awaited, or until an agreed time
       |           |
       +-----+-----+---> MET         fulfilled not later than the adequate level
             |     +---> CANCELLED   the customer left, the work was cancelled, or nothing was left to answer
             +---------> BREACHED    the adequate level passed

A milestone (a warning, the desired level, the adequate level) is passed once a life, in order, and never before its time. What
happens exactly when a level is due still keeps it. After MET, BREACHED or CANCELLED nothing is emitted any more; that broken
promises were fulfilled late is only counted (`late`).

`dues` are instants, worked out when the clock starts or resumes; `used_ms` is the calendar time used before `since_ms`.
"""

from dataclasses import dataclass
from enum import IntEnum

from services.sla.domain.calendar import BusinessTime
from services.sla.domain.policy import Level, Milestone, Target, TargetPlan


class State(IntEnum):
    """Of a deadline. The numbers are kept in the lane's state."""

    RUNNING = 1
    PAUSED = 2
    MET = 3
    BREACHED = 4
    CANCELLED = 5


@dataclass(slots=True)
class Deadline:
    """One instance of a promise."""

    target: Target
    epoch: int
    state: State
    since_ms: int
    used_ms: int = 0
    passed: int = 0
    """Milestones passed, or left out on the way."""
    dues: tuple[int, ...] = ()
    """When each milestone of the target is due; empty while paused."""
    met_level: Level = Level.NONE
    late: bool = False
    """Fulfilled, but after the adequate level."""
    skip: int = 0
    """Bit i: milestone i had fired under the plan before, and does not fire again."""
    revision: int = 0
    """How often its plan has changed."""
    fired: int = 0
    """What had fired under all plans before: bit 0 the desired level, bit n warning n."""

    @property
    def open(self) -> bool:
        """Whether it is still undecided."""
        return self.state is State.RUNNING or self.state is State.PAUSED

    @property
    def next_index(self) -> int:
        """The milestone that is passed next; the number of milestones when none is."""
        at = self.passed
        if self.skip:
            while self.skip >> at & 1:
                at += 1
        return at

    @property
    def next_due(self) -> int | None:
        """When the next milestone is due; None while nothing can fire."""
        if self.state is not State.RUNNING:
            return None
        at = self.passed if not self.skip else self.next_index
        return self.dues[at] if at < len(self.dues) else None

    def used_at(self, at_ms: int, time: BusinessTime) -> int:
        """Calendar time used up to an instant."""
        return self.used_ms + time.elapsed(self.since_ms, at_ms) if self.state is State.RUNNING else self.used_ms

    def due_of(self, level: Level, plan: TargetPlan) -> int:
        """When a level is due; 0 while paused."""
        for milestone, due in zip(plan.milestones, self.dues, strict=False):
            if milestone.level is level:
                return due
        return 0


def start(plan: TargetPlan, epoch: int, at_ms: int, time: BusinessTime) -> Deadline:
    """A promise whose clock runs from `at_ms`."""
    deadline = Deadline(plan.target, epoch, State.RUNNING, at_ms)
    deadline.dues = _dues(plan, deadline, time)
    return deadline


def continue_as(old: Deadline, plan: TargetPlan, at_ms: int, time: BusinessTime) -> Deadline:
    """The next instance of a promise whose work is open again: it goes on where the old one stood, and what was told is not told again."""
    deadline = Deadline(plan.target, old.epoch + 1, State.RUNNING, at_ms, old.used_ms, old.passed, skip=old.skip)
    deadline.revision, deadline.fired = old.revision, old.fired
    deadline.dues = _dues(plan, deadline, time)
    return deadline


def pause(deadline: Deadline, at_ms: int, time: BusinessTime) -> None:
    """Stops the clock of a running deadline."""
    deadline.used_ms = deadline.used_at(at_ms, time)
    deadline.state = State.PAUSED
    deadline.dues = ()


def resume(deadline: Deadline, plan: TargetPlan, at_ms: int, time: BusinessTime) -> None:
    """Lets the clock of a paused deadline go on."""
    deadline.state = State.RUNNING
    deadline.since_ms = at_ms
    deadline.dues = _dues(plan, deadline, time)


def decide(deadline: Deadline, state: State, at_ms: int, time: BusinessTime) -> None:
    """Ends an open deadline: MET with the level that it still held, or CANCELLED."""
    deadline.used_ms = deadline.used_at(at_ms, time)
    deadline.state = state


def attained(deadline: Deadline, plan: TargetPlan) -> Level:
    """The level that an open deadline would keep if it were fulfilled now, its past milestones having been passed."""
    for index, milestone in enumerate(plan.milestones):
        if milestone.level is Level.DESIRED:
            return Level.ADEQUATE if index < deadline.passed or deadline.skip >> index & 1 else Level.DESIRED
    return Level.DESIRED


def pass_milestone(deadline: Deadline, plan: TargetPlan, time: BusinessTime) -> Milestone:
    """Passes the next milestone of a running deadline whose due time has come."""
    index = deadline.next_index
    milestone = plan.milestones[index]
    if milestone.level is Level.ADEQUATE:
        # The clock stops at the due instant: what comes later no longer counts as used.
        deadline.used_ms = deadline.used_at(deadline.dues[index], time)
        deadline.state = State.BREACHED
    deadline.passed = index + 1
    return milestone


def take_over(deadline: Deadline, old: TargetPlan, new: TargetPlan, at_ms: int, time: BusinessTime) -> None:
    """Puts an open deadline under another plan of its target: due times from its own start, none before `at_ms`; what has fired (a level, or
    the warning of the same number) does not fire again. `time` is the new plan's."""
    for index in range(len(old.milestones)):
        if index < deadline.passed or deadline.skip >> index & 1:
            deadline.fired |= 1 << old.warning_number(index)
    deadline.skip = sum(
        1 << index
        for index, milestone in enumerate(new.milestones)
        if milestone.level is not Level.ADEQUATE and deadline.fired >> new.warning_number(index) & 1
    )
    deadline.passed = 0
    deadline.revision += 1
    if deadline.state is State.RUNNING:
        deadline.dues = tuple(max(at_ms, due) for due in _dues(new, deadline, time))


def keep_shown(deadline: Deadline, old: TargetPlan, new: TargetPlan) -> None:
    """A decided deadline shows the due times that it had, in the places where the new plan has them."""
    if deadline.dues:
        desired, adequate = deadline.due_of(Level.DESIRED, old), deadline.due_of(Level.ADEQUATE, old)
        deadline.dues = tuple(desired if m.level is Level.DESIRED else adequate for m in new.milestones)


def _dues(plan: TargetPlan, deadline: Deadline, time: BusinessTime) -> tuple[int, ...]:
    """Passed milestones keep no time of their own: they are shown as due when the clock (re)started."""
    since, used = deadline.since_ms, deadline.used_ms
    return tuple(time.add(since, max(0, m.after_ms - used)) for m in plan.milestones)
