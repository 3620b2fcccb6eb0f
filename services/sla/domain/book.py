"""What the engine remembers about one partition, its timers, and what of it has changed since the changelog was last written.

One heap of timers holds the next milestone of each running deadline, and when closed work is to be forgotten. An entry that no
longer says what its deadline says is stale and is dropped when met. Entries order by time, then by id: the same everywhere.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from services.sla.domain.calendar import BusinessTime, CalendarSpec, RoundTheClock
from services.sla.domain.deadlines import Deadline
from services.sla.domain.measures import DAY_MS, SLOT_MS, Tally, TallyKey, roll_up
from services.sla.domain.policy import Plan, Target, TargetPlan
from services.sla.domain.work import Changes, Work

KEPT_DAYS: Final = 31
MOST_TALLIES: Final = 50_000
"""Beyond it the oldest days are kept as whole days."""
_FORGET: Final = 0
_STALE_SLACK: Final = 1024

CalendarOf = Callable[[CalendarSpec], BusinessTime]


class Book:
    """Work, plans, counts and timers. Not concurrent."""

    def __init__(self, calendar_of: CalendarOf, forget_after_ms: int) -> None:
        """`forget_after_ms`: how long closed work stays readable and guards against repeated events."""
        self._calendar_of = calendar_of
        self._forget_after_ms = forget_after_ms
        self.works: dict[str, Work] = {}
        self.plans: dict[str, Plan] = {}
        self.tallies: dict[TallyKey, Tally] = {}
        self.open_by_target: dict[Target, int] = dict.fromkeys(Target, 0)
        self._uses: dict[str, int] = {}
        self._times: dict[str, BusinessTime] = {}
        self._heap: list[tuple[int, str, int, int]] = []
        self._newest_day = 0
        self._changes = Changes()

    # ── restoring ────────────────────────────────────────────────────────────────────────────────────────────────
    def restore_plan(self, plan: Plan) -> None:
        """A plan from the changelog; may come after the work that uses it."""
        self.plans[plan.plan_id] = plan

    def restore_work(self, work: Work) -> None:
        """Work from the changelog."""
        self.works[work.interaction_id] = work
        self._uses[work.plan_id] = self._uses.get(work.plan_id, 0) + 1
        for deadline in work.deadlines:
            if deadline.open:
                self.open_by_target[deadline.target] += 1
            self.arm(work, deadline)
        self._arm_forgetting(work)

    def restore_tally(self, key: TallyKey, tally: Tally) -> None:
        """Counts from the changelog."""
        self.tallies[key] = tally
        self._newest_day = max(self._newest_day, key.day)

    def take_changes(self) -> Changes:
        """What was touched since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    def touch(self, work: Work) -> None:
        """Marks work as changed."""
        self._changes.works[work.interaction_id] = None

    def add(self, work: Work, plan: Plan) -> None:
        """Begins to watch new work under a plan."""
        self.works[work.interaction_id] = work
        self.touch(work)
        if plan.plan_id not in self.plans:
            self.plans[plan.plan_id] = plan
            self._changes.plans[plan.plan_id] = None
        self._uses[plan.plan_id] = self._uses.get(plan.plan_id, 0) + 1

    # ── timers ───────────────────────────────────────────────────────────────────────────────────────────────────
    def next_wakeup(self) -> int | None:
        """When the next milestone is due (or closed work is to be forgotten)."""
        while self._heap and self._is_stale(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, until_ms: int) -> tuple[Work, Deadline] | None:
        """The running deadline whose milestone is due first, at or before an instant. Forgets closed work on the way."""
        while self._heap and self._heap[0][0] <= until_ms:
            entry = heappop(self._heap)
            if self._is_stale(entry):
                continue
            work = self.works[entry[1]]
            if entry[2] != _FORGET:
                return work, next(d for d in work.deadlines if d.target == entry[2] and d.epoch == entry[3])
            self._forget(work)
        return None

    def past_due(self, before_ms: int, most: int = 10_000) -> int:
        """Timers that were due before an instant and have not been passed; counts no further than `most`."""
        count = 0
        stack = [0]
        while stack and count < most:
            at = stack.pop()
            if at < len(self._heap) and self._heap[at][0] < before_ms:
                count += not self._is_stale(self._heap[at]) and self._heap[at][2] != _FORGET
                stack += (2 * at + 1, 2 * at + 2)
        return count

    # ── looking up and counting ──────────────────────────────────────────────────────────────────────────────────
    def time_of(self, work: Work) -> BusinessTime:
        """The time in which the promises to this work run."""
        time = self._times.get(work.plan_id)
        if time is None:
            spec = self.plans[work.plan_id].calendar
            time = self._times[work.plan_id] = RoundTheClock() if spec is None else self._calendar_of(spec)
        return time

    def target_plan(self, work: Work, deadline: Deadline) -> TargetPlan:
        """What was promised."""
        plan = self.plans[work.plan_id].target(deadline.target)
        if plan is None:
            raise LookupError(f"plan {work.plan_id} promises no {deadline.target.name}, yet there is a deadline")
        return plan

    def tally(self, work: Work, target: Target, now_ms: int) -> Tally:
        """The counts into which a decision about this work goes, marked as touched. A new day drops days long past."""
        slot = now_ms % DAY_MS // SLOT_MS
        key = TallyKey(work.tenant, now_ms // DAY_MS, work.queue, work.channel, target, slot)
        if key.day > self._newest_day:
            self._newest_day = key.day
            for old in [k for k in self.tallies if k.day <= key.day - KEPT_DAYS]:
                del self.tallies[old]
                self._changes.tallies[old] = None
        if key not in self.tallies and len(self.tallies) >= MOST_TALLIES:
            self._changes.tallies.update(dict.fromkeys(roll_up(self.tallies, key.day)))
        self._changes.tallies[key] = None
        return self.tallies.setdefault(key, Tally())

    def close(self, work: Work, at_ms: int) -> None:
        """Nothing more will happen to this work; it is forgotten after a while."""
        work.closed_at_ms = at_ms
        self._arm_forgetting(work)

    def arm(self, work: Work, deadline: Deadline) -> None:
        """Sets the timer of a deadline for its next milestone, if it has one."""
        due = deadline.next_due
        if due is None:
            return
        if len(self._heap) > _STALE_SLACK + 4 * len(self.works) + 4 * sum(self.open_by_target.values()):
            self._heap = [entry for entry in self._heap if not self._is_stale(entry)]
            heapify(self._heap)
        heappush(self._heap, (due, work.interaction_id, int(deadline.target), deadline.epoch))

    def _arm_forgetting(self, work: Work) -> None:
        if work.closed_at_ms:
            heappush(self._heap, (work.closed_at_ms + self._forget_after_ms, work.interaction_id, _FORGET, 0))

    def _is_stale(self, entry: tuple[int, str, int, int]) -> bool:
        due, interaction_id, target, epoch = entry
        work = self.works.get(interaction_id)
        if work is None:
            return True
        if target == _FORGET:
            return not work.closed_at_ms
        return not any(d.target == target and d.epoch == epoch and d.next_due == due for d in work.deadlines)

    def _forget(self, work: Work) -> None:
        del self.works[work.interaction_id]
        self._changes.works[work.interaction_id] = None
        self._uses[work.plan_id] -= 1
        if not self._uses[work.plan_id]:
            # A plan that is in use again in a moment is simply written again.
            del self._uses[work.plan_id], self.plans[work.plan_id]
            self._times.pop(work.plan_id, None)
            self._changes.plans[work.plan_id] = None
