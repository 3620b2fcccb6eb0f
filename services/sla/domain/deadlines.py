"""One promise and its clock.

    RUNNING <-> PAUSED        only resolution pauses: while the customer is awaited
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
    """Milestones passed."""
    dues: tuple[int, ...] = ()
    """When each milestone of the target is due; empty while paused."""
    met_level: Level = Level.NONE
    late: bool = False
    """Fulfilled, but after the adequate level."""

    @property
    def open(self) -> bool:
        """Whether it is still undecided."""
        return self.state is State.RUNNING or self.state is State.PAUSED

    @property
    def next_due(self) -> int | None:
        """When the next milestone is due; None while nothing can fire."""
        if self.state is not State.RUNNING or self.passed >= len(self.dues):
            return None
        return self.dues[self.passed]

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
    for milestone in plan.milestones[: deadline.passed]:
        if milestone.level is Level.DESIRED:
            return Level.ADEQUATE
    return Level.DESIRED


def pass_milestone(deadline: Deadline, plan: TargetPlan, time: BusinessTime) -> Milestone:
    """Passes the next milestone of a running deadline whose due time has come."""
    milestone = plan.milestones[deadline.passed]
    deadline.passed += 1
    if milestone.level is Level.ADEQUATE:
        # The clock stops at the due instant: what comes later no longer counts as used.
        deadline.used_ms = deadline.used_at(deadline.dues[deadline.passed - 1], time)
        deadline.state = State.BREACHED
    return milestone


def _dues(plan: TargetPlan, deadline: Deadline, time: BusinessTime) -> tuple[int, ...]:
    """Passed milestones keep no time of their own: they are shown as due when the clock (re)started."""
    since, used = deadline.since_ms, deadline.used_ms
    return tuple(time.add(since, max(0, m.after_ms - used)) for m in plan.milestones)
