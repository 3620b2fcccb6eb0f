"""The state that the engine keeps for one partition, its timers, and what has changed since the last write to the
changelog.

One heap of timers holds, for each interaction, the time of its next milestone, or the time to forget it once it is
closed. An entry that no longer agrees with its interaction is stale and is dropped when it is reached. Entries are
ordered by time, then by id, so that the order is the same in every process.

A million deadlines must fit into one process, so values that many interactions share are kept once: names are interned,
and so are the attributes by which policies were chosen.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from sys import intern
from typing import Final
from weakref import WeakValueDictionary

from services.policy.model.business_time import BusinessTime, RoundTheClock
from services.policy.model.calendars import CalendarSpec
from services.policy.model.sla import Plan, Subject, Target, TargetPlan
from services.sla.domain.deadlines import Deadline
from services.sla.domain.interaction import Changes, TrackedInteraction
from services.sla.domain.measures import DAY_MS, SLOT_MS, Tally, TallyKey, roll_up

KEPT_DAYS: Final = 31
MOST_TALLIES: Final = 50_000
"""Above this number, the counts of the oldest days are kept as whole days."""
_STALE_SLACK: Final = 1024

CalendarOf = Callable[[CalendarSpec], BusinessTime]


class TrackedInteractions:
    """Interactions, plans, counts and timers of one partition. Not concurrent."""

    def __init__(self, calendar_of: CalendarOf, forget_after_ms: int) -> None:
        """`forget_after_ms`: how long a closed interaction stays readable and guards against repeated events."""
        self._calendar_of = calendar_of
        self._forget_after_ms = forget_after_ms
        self.interactions: dict[str, TrackedInteraction] = {}
        self.plans: dict[str, Plan] = {}
        self.tallies: dict[TallyKey, Tally] = {}
        self.versions: dict[str, int] = {}
        """By tenant: the version of its configuration against which all its open interactions have been checked."""
        self.open_by_target: dict[Target, int] = dict.fromkeys(Target, 0)
        self._uses: dict[str, int] = {}
        self._times: dict[str, BusinessTime] = {}
        self._subjects: WeakValueDictionary[Subject, Subject] = WeakValueDictionary()
        self._heap: list[tuple[int, str]] = []
        self._newest_day = 0
        self._changes = Changes()

    # ── restoring ────────────────────────────────────────────────────────────────────────────────────────────────
    def restore_plan(self, plan: Plan) -> None:
        """Restore a plan from the changelog. The plan may come after the interaction that uses it."""
        self.plans[plan.plan_id] = plan

    def restore_interaction(self, interaction: TrackedInteraction) -> None:
        """Restore an interaction from the changelog."""
        self._share(interaction)
        self.interactions[interaction.interaction_id] = interaction
        self._uses[interaction.plan_id] = self._uses.get(interaction.plan_id, 0) + 1
        for deadline in interaction.deadlines:
            if deadline.open:
                self.open_by_target[deadline.target] += 1
        self.arm(interaction)

    def restore_tally(self, key: TallyKey, tally: Tally) -> None:
        """Restore counts from the changelog."""
        self.tallies[key] = tally
        self._newest_day = max(self._newest_day, key.day)

    def restore_version(self, tenant: str, version: int) -> None:
        """Restore a tenant's configuration version from the changelog."""
        self.versions[tenant] = version

    def take_changes(self) -> Changes:
        """Return the keys that were touched since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    def touch(self, interaction: TrackedInteraction) -> None:
        """Mark an interaction as changed."""
        self._changes.interactions[interaction.interaction_id] = None

    def add(self, interaction: TrackedInteraction, plan: Plan) -> None:
        """Begin to track a new interaction under a plan."""
        self._share(interaction)
        self.interactions[interaction.interaction_id] = interaction
        self.touch(interaction)
        self._use(plan)

    def move(self, interaction: TrackedInteraction, queue: str) -> None:
        """Record that an interaction is in another queue."""
        interaction.queue = intern(queue)

    def hand(self, interaction: TrackedInteraction, agent_id: str) -> None:
        """Record that another agent has the interaction, or no agent (empty id)."""
        interaction.agent_id = intern(agent_id)

    def replan(self, interaction: TrackedInteraction, plan: Plan) -> None:
        """Put an interaction under another plan."""
        before = interaction.plan_id
        interaction.plan_id = plan.plan_id
        self._use(plan)
        self._release(before)
        self._share(interaction)
        self.touch(interaction)

    def taken_over(self, tenant: str, version: int) -> None:
        """Record that all open interactions of a tenant have been checked against a version of its configuration."""
        self.versions[tenant] = version
        self._changes.versions[tenant] = None

    # ── timers ───────────────────────────────────────────────────────────────────────────────────────────────────
    def next_wakeup(self) -> int | None:
        """Return when the next milestone is due or the next closed interaction is to be forgotten; None if there is
        no timer."""
        while self._heap and self._is_stale(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, until_ms: int) -> tuple[TrackedInteraction, Deadline] | None:
        """Return the running deadline whose milestone is due first, at or before an instant. Closed interactions that
        are due are forgotten on the way.

        The caller passes the milestone and arms the interaction again.
        """
        while self._heap and self._heap[0][0] <= until_ms:
            entry = heappop(self._heap)
            if self._is_stale(entry):
                continue
            interaction = self.interactions[entry[1]]
            if not interaction.closed_at_ms:
                return interaction, min(
                    (d for d in interaction.deadlines if d.next_due == entry[0]), key=lambda d: (d.target, d.epoch)
                )
            self._forget(interaction)
        return None

    def past_due(self, before_ms: int, most: int = 10_000) -> int:
        """Count the deadlines with milestones that were due before an instant and have not been passed. Counting
        stops at `most`."""
        late: dict[str, int] = {}
        stack = [0]
        while stack and len(late) < most:
            at = stack.pop()
            if at < len(self._heap) and self._heap[at][0] < before_ms:
                entry = self._heap[at]
                if not self._is_stale(entry):
                    due = (deadline.next_due for deadline in self.interactions[entry[1]].deadlines)
                    late[entry[1]] = sum(d is not None and d < before_ms for d in due)
                stack += (2 * at + 1, 2 * at + 2)
        return min(most, sum(late.values()))

    def arm(self, interaction: TrackedInteraction, before: int | None = None) -> None:
        """Set the timer of an interaction, unless its due time is still `before`."""
        due = self._due_of(interaction)
        if due is None or due == before:
            return
        if len(self._heap) > _STALE_SLACK + 2 * len(self.interactions):
            self._heap = [entry for entry in self._heap if not self._is_stale(entry)]
            heapify(self._heap)
        heappush(self._heap, (due, interaction.interaction_id))

    # ── ── look-up and counting ────────────────────────────────────────────────────────────────────────────────────
    def time_of(self, interaction: TrackedInteraction) -> BusinessTime:
        """Return the business time in which the deadlines of this interaction run."""
        time = self._times.get(interaction.plan_id)
        if time is None:
            spec = self.plans[interaction.plan_id].calendar
            time = self._times[interaction.plan_id] = RoundTheClock() if spec is None else self._calendar_of(spec)
        return time

    def target_plan(self, interaction: TrackedInteraction, deadline: Deadline) -> TargetPlan:
        """Return the plan of this deadline's target."""
        plan = self.plans[interaction.plan_id].target(deadline.target)
        if plan is None:
            raise LookupError(
                f"plan {interaction.plan_id} has no target {deadline.target.name}, but there is a deadline for it"
            )
        return plan

    def tally(self, interaction: TrackedInteraction, target: Target, now_ms: int) -> Tally:
        """Return the counts to which a decision about this interaction is added, marked as touched. A new day drops
        days older than KEPT_DAYS."""
        slot = now_ms % DAY_MS // SLOT_MS
        key = TallyKey(interaction.tenant, now_ms // DAY_MS, interaction.queue, interaction.channel, target, slot)
        if key.day > self._newest_day:
            self._newest_day = key.day
            for old in [k for k in self.tallies if k.day <= key.day - KEPT_DAYS]:
                del self.tallies[old]
                self._changes.tallies[old] = None
        if key not in self.tallies and len(self.tallies) >= MOST_TALLIES:
            self._changes.tallies.update(dict.fromkeys(roll_up(self.tallies, key.day)))
        self._changes.tallies[key] = None
        return self.tallies.setdefault(key, Tally())

    def close(self, interaction: TrackedInteraction, at_ms: int) -> None:
        """Close an interaction: nothing more happens to it, and it is forgotten after `forget_after_ms`."""
        interaction.closed_at_ms = at_ms

    def _due_of(self, interaction: TrackedInteraction) -> int | None:
        return interaction.closed_at_ms + self._forget_after_ms if interaction.closed_at_ms else interaction.next_due()

    def _is_stale(self, entry: tuple[int, str]) -> bool:
        interaction = self.interactions.get(entry[1])
        return interaction is None or self._due_of(interaction) != entry[0]

    def _forget(self, interaction: TrackedInteraction) -> None:
        del self.interactions[interaction.interaction_id]
        self._changes.interactions[interaction.interaction_id] = None
        self._release(interaction.plan_id)

    def _use(self, plan: Plan) -> None:
        if plan.plan_id not in self.plans:
            self.plans[plan.plan_id] = plan
            self._changes.plans[plan.plan_id] = None
        self._uses[plan.plan_id] = self._uses.get(plan.plan_id, 0) + 1

    def _release(self, plan_id: str) -> None:
        self._uses[plan_id] -= 1
        if not self._uses[plan_id]:
            # If the plan is used again soon, it is written again.
            del self._uses[plan_id], self.plans[plan_id]
            self._times.pop(plan_id, None)
            self._changes.plans[plan_id] = None

    def _share(self, interaction: TrackedInteraction) -> None:
        """Intern the names that thousands of interactions share, so that each takes memory once."""
        interaction.tenant, interaction.pool = intern(interaction.tenant), intern(interaction.pool)
        interaction.queue, interaction.channel = intern(interaction.queue), intern(interaction.channel)
        interaction.plan_id, interaction.agent_id = intern(interaction.plan_id), intern(interaction.agent_id)
        interaction.subject = self._subjects.setdefault(interaction.subject, interaction.subject)
