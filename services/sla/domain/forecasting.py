"""Forecasts of breaches: when they are made, how they are scored, and to whom they are reported.

A forecast is made when a deadline is set, and again when a quarter, a half and three quarters of the time allowed have
been used while the deadline is still open. It uses what the lane knows at that moment and nothing else. When the
deadline is decided, all its forecasts are scored and learned from. If the policy asks for predictions (`predict`), a
deadline is reported once, at the first of these moments at which the probability of a breach is high enough.

Bounded: if a policy asks for it, every deadline is forecast. Otherwise `ForecastLimits` bound the forecasts made a
second, and the interactions with forecasts: a busy lane learns from a sample, and a deadline without a forecast is
forecast when a caller asks about it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from services.policy.model.business_time import BusinessTime
from services.policy.model.sla import Level, Target, TargetPlan
from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.facts import Occurrence, OccurrenceKind
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.lines import LineKey, ResponseLines
from services.sla.domain.prediction import Features, Model, Moment, Pulse, features, packed, unpacked
from services.sla.domain.story import Sample, Story
from services.sla.domain.tracked_interactions import TrackedInteractions

AGES: Final = (0.25, 0.5, 0.75)
"""Shares of the time allowed at which a deadline that is still open is forecast again."""
LIKELY: Final = 0.5
"""From this probability on, a deadline counts as at risk in the metrics."""
ModelKey = tuple[str, Target]
"""Tenant and target."""
FollowedKey = tuple[str, str, Target]
"""Tenant, queue and target."""
_TICK_MS: Final = 1_000
"""Timers of forecasts are checked in whole seconds, so that a transaction is not made for each of them."""


def look(
    interaction: TrackedInteraction,
    deadline: Deadline,
    allowed_ms: int,
    time: BusinessTime,
    story: Story | None,
    lines: ResponseLines,
    pulse: Pulse,
    now_ms: int,
) -> Features:
    """Return the features of an open deadline at an instant."""
    target, held = deadline.target, bool(interaction.agent_id)
    waits = target in (Target.PICK_UP, Target.FIRST_RESPONSE)
    line = Target.NEXT_RESPONSE if target is Target.NEXT_RESPONSE else Target.PICK_UP
    oldest_ms, ahead = 0, 0
    if not held or target is Target.NEXT_RESPONSE:
        oldest_ms, ahead = lines.look(
            (interaction.tenant, interaction.queue, interaction.channel, line), interaction.interaction_id, now_ms
        )
    due_ms = deadline.dues[-1] if deadline.dues else now_ms
    moment = Moment(
        share=deadline.used_at(now_ms, time) / allowed_ms,
        waited_ms=max(0, now_ms - story.queued_ms) if story is not None else 0,
        left_ms=max(0, due_ms - now_ms),
        announced=(story.p50_ms, story.p90_ms) if story is not None and waits else (-1, -1),
        held=held,
        oldest=oldest_ms / max(1, due_ms - deadline.since_ms + deadline.used_ms),
        ahead=ahead if target is not Target.RESOLUTION else 0,
    )
    return features(moment, pulse)


@dataclass(frozen=True, slots=True)
class ForecastLimits:
    """The most forecasts of one partition that no policy asks for."""

    interactions: int = 10_000
    """Open interactions with a forecast."""
    a_second: int = 100
    """Forecasts made in one second."""


DEFAULT_LIMITS: Final = ForecastLimits()


class Forecasting:
    """Forecasts of one partition. Not concurrent."""

    def __init__(
        self, tracked: TrackedInteractions, stories: Mapping[str, Story], limits: ForecastLimits = DEFAULT_LIMITS
    ) -> None:
        self._limits = limits
        self._tracked = tracked
        self._stories = stories
        self.lines = ResponseLines()
        self.pulses: dict[LineKey, Pulse] = {}
        """By tenant, queue, channel and target."""
        self.models: dict[ModelKey, Model] = {}
        self.changed_pulses: dict[LineKey, None] = {}
        self.changed_models: dict[ModelKey, None] = {}
        self.changed_stories: dict[str, None] = {}
        self.followed: Counter[FollowedKey] = Counter()
        """Number of open deadlines with a forecast."""
        self.likely: Counter[FollowedKey] = Counter()
        """Number of those whose probability of a breach is at least LIKELY."""
        self._open = 0
        self._second, self._made = 0, 0
        self._heap: list[tuple[int, str, int, int, int]] = []

    # Events

    def restore(self) -> None:
        """Build waiting lines and timers from the restored state. Call it when everything else has been restored."""
        for interaction in self._tracked.interactions.values():
            self.lines.follow(interaction)
            story = self._stories.get(interaction.interaction_id)
            if story is None or not story.samples:
                continue
            self._open += 1
            self._count(story, interaction.queue)
            for deadline in interaction.deadlines:
                self._arm(interaction, deadline, len(story.of(deadline.target, deadline.epoch)))

    def observe(self, occurrences: Iterable[Occurrence], now_ms: int) -> list[Occurrence]:
        """Apply what happened to deadlines. Returns the new predictions."""
        found: list[Occurrence] = []
        begun: list[tuple[TrackedInteraction, Deadline]] = []
        for occurrence in occurrences:
            interaction = self._tracked.interactions.get(occurrence.interaction_id)
            deadline = _deadline(interaction, occurrence.target, occurrence.epoch)
            if interaction is None:
                continue
            if deadline is None:
                # A change of policies removed the target: the outcome is unknown, so nothing is learned.
                self._drop(interaction, occurrence.target, occurrence.epoch)
                continue
            match occurrence.kind:
                case OccurrenceKind.SET | OccurrenceKind.REARMED:
                    begun.append((interaction, deadline))
                case OccurrenceKind.RESUMED:
                    self._rearm(interaction, deadline)
                case OccurrenceKind.MET | OccurrenceKind.CANCELLED:
                    self._decided(interaction, deadline, broken=False)
                case OccurrenceKind.BREACHED:
                    self._decided(interaction, deadline, broken=True)
                case _:
                    pass
        for interaction, deadline in begun:
            if deadline.state is State.RUNNING:
                found += self._forecast(interaction, deadline, now_ms)
        return found

    def follow(self, interaction_id: str) -> None:
        """Update the place of an interaction in its waiting line after an event."""
        interaction = self._tracked.interactions.get(interaction_id)
        if interaction is None:
            self.lines.forget(interaction_id)
            return
        self.lines.follow(interaction)
        story = self._stories.get(interaction_id)
        if story is not None and story.samples and story.counted != interaction.queue:
            self._uncount(story)
            self._count(story, interaction.queue)

    def advance(self, until_ms: int) -> list[Occurrence]:
        """Make the forecasts that are due at or before an instant. Returns the new predictions."""
        found: list[Occurrence] = []
        while self._heap and self._heap[0][0] <= until_ms:
            _, interaction_id, target, epoch, since = heappop(self._heap)
            interaction = self._tracked.interactions.get(interaction_id)
            deadline = _deadline(interaction, Target(target), epoch)
            if (
                interaction is None
                or deadline is None
                or deadline.state is not State.RUNNING
                or deadline.since_ms != since
            ):
                continue
            found += self._forecast(interaction, deadline, until_ms)
        return found

    def next_wakeup(self) -> int | None:
        """Return when the next forecast is due, rounded up to a whole second."""
        return -(-self._heap[0][0] // _TICK_MS) * _TICK_MS if self._heap else None

    # Internals

    def pulse(self, interaction: TrackedInteraction, target: Target) -> Pulse:
        """Return the recent outcomes of the target in the interaction's queue and channel."""
        key = (interaction.tenant, interaction.queue, interaction.channel, target)
        found = self.pulses.get(key)
        if found is None:
            found = self.pulses[key] = Pulse()
        return found

    def model(self, tenant: str, target: Target) -> Model:
        """Return the model of this tenant and target."""
        found = self.models.get((tenant, target))
        if found is None:
            found = self.models[tenant, target] = Model.new(target)
        return found

    def _forecast(self, interaction: TrackedInteraction, deadline: Deadline, now_ms: int) -> list[Occurrence]:
        story = self._stories.get(interaction.interaction_id)
        plan = self._tracked.target_plan(interaction, deadline)
        if story is None or not (plan.predict_probability or self._affords(story, now_ms)):
            return []
        time = self._tracked.time_of(interaction)
        x = look(
            interaction,
            deadline,
            plan.adequate_ms,
            time,
            story,
            self.lines,
            self.pulse(interaction, deadline.target),
            now_ms,
        )
        forecast = round(self.model(interaction.tenant, deadline.target).probability(x), 4)
        self._open += not story.samples
        self._uncount(story)
        story.samples = (*story.samples, Sample(deadline.target, deadline.epoch, packed(x), forecast))
        self._count(story, interaction.queue)
        self.changed_stories[interaction.interaction_id] = None
        self._arm(interaction, deadline, len(story.of(deadline.target, deadline.epoch)))
        instance = (deadline.target, deadline.epoch)
        if not plan.predict_probability or forecast < plan.predict_probability or instance in story.reported:
            return []
        story.reported = (*story.reported, instance)
        return [self._predicted(interaction, deadline, plan, forecast, now_ms)]

    def _affords(self, story: Story, now_ms: int) -> bool:
        """Return whether a forecast that no policy asks for may be made. Deciding deadlines comes first for memory
        and time."""
        if not story.samples and self._open >= self._limits.interactions:
            return False
        if now_ms // 1000 != self._second:
            self._second, self._made = now_ms // 1000, 0
        self._made += 1
        return self._made <= self._limits.a_second

    def _predicted(
        self, interaction: TrackedInteraction, deadline: Deadline, plan: TargetPlan, forecast: float, now_ms: int
    ) -> Occurrence:
        return Occurrence(
            kind=OccurrenceKind.PREDICTED,
            cause=f"{interaction.interaction_id}.{deadline.target.name}.{deadline.epoch}.predicted",
            ordinal=0,
            tenant=interaction.tenant,
            pool=interaction.pool,
            interaction_id=interaction.interaction_id,
            conversation_id=interaction.conversation_id,
            queue=interaction.queue,
            channel=interaction.channel,
            agent_id=interaction.agent_id,
            policy=self._tracked.plans[interaction.plan_id].policy,
            target=deadline.target,
            epoch=deadline.epoch,
            level=Level.ADEQUATE,
            desired_at_ms=deadline.due_of(Level.DESIRED, plan),
            adequate_at_ms=deadline.due_of(Level.ADEQUATE, plan),
            occurred_at_ms=now_ms,
            due_ms=0,
            used_ms=deadline.used_at(now_ms, self._tracked.time_of(interaction)),
            share=0.0,
            escalate_priority=plan.predict_priority,
            reason="LIKELY_TO_BREAK",
            probability=forecast,
        )

    def _decided(self, interaction: TrackedInteraction, deadline: Deadline, *, broken: bool) -> None:
        plan = self._tracked.target_plan(interaction, deadline)
        key = (interaction.tenant, interaction.queue, interaction.channel, deadline.target)
        self.pulse(interaction, deadline.target).decide(deadline.used_ms / plan.adequate_ms, broken=broken)
        self.changed_pulses[key] = None
        story = self._stories.get(interaction.interaction_id)
        mine = () if story is None else story.of(deadline.target, deadline.epoch)
        if story is None or not mine:
            return
        self.changed_stories[interaction.interaction_id] = None
        model = self.model(interaction.tenant, deadline.target)
        for sample in mine:
            model.outcome(unpacked(sample.x), sample.forecast, broken=broken)
        self._drop(interaction, deadline.target, deadline.epoch)
        self.changed_models[interaction.tenant, deadline.target] = None

    def forget(self, story: Story) -> None:
        """Remove a story together with its forecasts that were never decided."""
        self._uncount(story)
        self._open -= bool(story.samples)

    def _drop(self, interaction: TrackedInteraction, target: Target, epoch: int) -> None:
        """Remove all forecasts of one deadline."""
        story = self._stories.get(interaction.interaction_id)
        if story is None or not story.of(target, epoch):
            return
        self._uncount(story)
        story.samples = tuple(s for s in story.samples if s.target is not target or s.epoch != epoch)
        story.reported = tuple(instance for instance in story.reported if instance != (target, epoch))
        self._open -= not story.samples
        self._count(story, interaction.queue)
        self.changed_stories[interaction.interaction_id] = None

    def _rearm(self, interaction: TrackedInteraction, deadline: Deadline) -> None:
        """Set the forecast timer again after the clock of a deadline was resumed, because the due times have
        changed."""
        story = self._stories.get(interaction.interaction_id)
        if story is not None:
            self._arm(interaction, deadline, len(story.of(deadline.target, deadline.epoch)))

    def _arm(self, interaction: TrackedInteraction, deadline: Deadline, made: int) -> None:
        """Set the timer for the next forecast, after `made` forecasts have been made. Moments that have passed
        meanwhile are skipped."""
        if deadline.state is not State.RUNNING or not 0 < made <= len(AGES):
            return
        allowed_ms = self._tracked.target_plan(interaction, deadline).adequate_ms
        time = self._tracked.time_of(interaction)
        due = time.add(deadline.since_ms, max(0, round(AGES[made - 1] * allowed_ms) - deadline.used_ms))
        heappush(self._heap, (due, interaction.interaction_id, int(deadline.target), deadline.epoch, deadline.since_ms))

    def _count(self, story: Story, queue: str) -> None:
        story.counted = queue if story.samples else ""
        for target, forecast in story.newest().items():
            self.followed[story.tenant, queue, target] += 1
            self.likely[story.tenant, queue, target] += forecast >= LIKELY

    def _uncount(self, story: Story) -> None:
        for target, forecast in story.newest().items():
            self.followed[story.tenant, story.counted, target] -= 1
            self.likely[story.tenant, story.counted, target] -= forecast >= LIKELY


def _deadline(interaction: TrackedInteraction | None, target: Target, epoch: int) -> Deadline | None:
    if interaction is None:
        return None
    return next((d for d in interaction.deadlines if d.target is target and d.epoch == epoch), None)
