"""What a lane learns besides deciding: measures of contact volume and durations, and forecasts.

This is an observer: it receives each fact after the engine has applied it, and the occurrences. It decides nothing
about deadlines.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from services.sla.domain.facts import Occurrence, RoutingFact, RoutingFactKind
from services.sla.domain.flow import Contact, Flow, FlowKey, Times
from services.sla.domain.forecasting import DEFAULT_LIMITS, Forecasting, ForecastLimits, ModelKey
from services.sla.domain.lines import LineKey
from services.sla.domain.measures import DAY_MS, SLOT_MS, WHOLE_DAY
from services.sla.domain.story import Story
from services.sla.domain.tracked_interactions import KEPT_DAYS, TrackedInteractions

MOST_FLOWS: Final = 50_000
"""Most entries of flow in a lane; above that, the oldest days are kept as whole days."""
MOST_CONTACTS: Final = 100_000
"""Most contacts in a lane; above that, the oldest are forgotten before their time."""
WEEK_MS: Final = 7 * DAY_MS


@dataclass(slots=True)
class Learned:
    """Keys that were touched since the last time. The reader checks whether they still exist."""

    stories: dict[str, None] = field(default_factory=dict)
    flows: dict[FlowKey, None] = field(default_factory=dict)
    new_contacts: dict[str, Contact] = field(default_factory=dict)
    gone_contacts: dict[str, None] = field(default_factory=dict)
    pulses: dict[LineKey, None] = field(default_factory=dict)
    models: dict[ModelKey, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Noted:
    """A duration: `pick_up`, `first_response`, `response` or `resolution`."""

    kind: str
    tenant: str
    queue: str
    channel: str
    ms: int


class Analytics:
    """Measures and forecasts of one partition. Not concurrent."""

    def __init__(
        self,
        tracked: TrackedInteractions,
        forget_after_ms: int,
        contacts_kept_ms: int = 2 * WEEK_MS,
        *,
        most_flows: int = MOST_FLOWS,
        forecasts: ForecastLimits = DEFAULT_LIMITS,
    ) -> None:
        """`contacts_kept_ms`: how long contacts are remembered, and so how far back repeat contacts can be reported.
        `most_flows`: entries of flow above which the oldest days are kept as whole days."""
        self._most_flows = most_flows
        self._tracked = tracked
        self._forget_after_ms = forget_after_ms
        self._contacts_kept_ms = contacts_kept_ms
        self.stories: dict[str, Story] = {}
        self.flows: dict[FlowKey, Flow] = {}
        self.contacts: dict[str, int] = {}
        """Time of each contact, by interaction, in the order in which they were recorded. The person is not kept
        here: only readers need it."""
        self.new_contacts: dict[str, Contact] = {}
        """Contacts that began since the last `take_changes`."""
        self.forecasting = Forecasting(tracked, self.stories, forecasts)
        self._closed: deque[tuple[int, str]] = deque()
        self._newest_day = 0
        self._changed = Learned()
        self.noted: list[Noted] = []
        """Durations that were counted since the reader last emptied this list. For metrics."""

    # ── restoring ────────────────────────────────────────────────────────────────────────────────────────────────
    def restore_flow(self, key: FlowKey, flow: Flow) -> None:
        """Restore counts from the changelog."""
        self.flows[key] = flow
        self._newest_day = max(self._newest_day, key.day)

    def restored(self) -> None:
        """Finish the restore, when `stories`, `contacts`, `forecasting.pulses` and `forecasting.models` are complete."""
        self._closed.extend(sorted((s.closed_ms, s.interaction_id) for s in self.stories.values() if s.closed_ms))
        self.contacts = dict(sorted(self.contacts.items(), key=lambda item: (item[1], item[0])))
        self.forecasting.restore()

    def take_changes(self) -> Learned:
        """Return the keys that were touched since the last call."""
        changed, self._changed = self._changed, Learned()
        changed.pulses, self.forecasting.changed_pulses = self.forecasting.changed_pulses, {}
        changed.new_contacts, self.new_contacts = self.new_contacts, {}
        changed.stories |= self.forecasting.changed_stories
        self.forecasting.changed_stories = {}
        changed.models, self.forecasting.changed_models = self.forecasting.changed_models, {}
        return changed

    # ── ── events ──────────────────────────────────────────────────────────────────────────────────────────────────
    def observe(self, fact: RoutingFact, occurrences: Iterable[Occurrence], now_ms: int) -> list[Occurrence]:
        """Apply a fact and the occurrences that the engine derived from it. Returns the new predictions."""
        if self._note(fact, min(fact.occurred_at_ms, now_ms)):
            self._changed.stories[fact.interaction_id] = None
        found = self.look(occurrences, max(now_ms, fact.occurred_at_ms))
        self.forecasting.follow(fact.interaction_id)
        return found

    def look(self, occurrences: Iterable[Occurrence], now_ms: int) -> list[Occurrence]:
        """Apply occurrences that the clock caused. Returns the new predictions."""
        return self.forecasting.observe(occurrences, now_ms)

    def advance(self, until_ms: int, now_ms: int) -> list[Occurrence]:
        """Make the forecasts that are due, and forget closed stories. Returns the new predictions."""
        found = self.forecasting.advance(until_ms)
        while self._closed and self._closed[0][0] + self._forget_after_ms <= now_ms:
            closed_ms, interaction_id = self._closed.popleft()
            story = self.stories.get(interaction_id)
            if story is not None and story.closed_ms == closed_ms:
                self.forecasting.forget(story)
                del self.stories[interaction_id]
                self._changed.stories[interaction_id] = None
        self._forget_contacts(now_ms)
        return found

    def next_wakeup(self) -> int | None:
        """Return when the next forecast is due."""
        return self.forecasting.next_wakeup()

    # ── ── internals ───────────────────────────────────────────────────────────────────────────────────────────────
    def _note(self, fact: RoutingFact, counted_ms: int) -> bool:
        """Count a fact and return whether the story has changed. The count goes to `counted_ms`, which is not later
        than the lane's time, so that one wrong clock does not shift the counted day."""
        story = self.stories.get(fact.interaction_id)
        if story is None:
            if fact.kind is not RoutingFactKind.QUEUED or fact.again:
                return False
            self._begin(fact, counted_ms)
            return True
        if fact.epoch and fact.epoch <= story.last_epoch:
            return False
        if story.closed_ms:
            if story.over or not (fact.again and fact.kind is RoutingFactKind.QUEUED):
                return False
            # Reopened: it is open and waits for a reply. Its contact and its first resolution have been counted
            # already.
            story.closed_ms, story.awaiting_ms = 0, fact.occurred_at_ms
        story.last_epoch = max(story.last_epoch, fact.epoch)
        story.queue = fact.queue or story.queue
        self._count(fact, story, self._flow(story, counted_ms))
        return True

    def _count(self, fact: RoutingFact, story: Story, flow: Flow) -> None:
        """Continue an open story by a new fact, and add its durations and its end to `flow`."""
        at = fact.occurred_at_ms
        match fact.kind:
            case RoutingFactKind.QUEUED:
                story.queued_ms, story.held = at, False
                story.p50_ms, story.p90_ms = fact.estimated_p50_ms, fact.estimated_p90_ms
            case RoutingFactKind.ASSIGNED:
                story.held = True
                if not story.picked_up:
                    story.picked_up = True
                    self._noted("pick_up", flow.pick_up, at - story.queued_first_ms, story)
            case RoutingFactKind.CUSTOMER_MESSAGED:
                story.awaiting_ms = story.awaiting_ms or at
            case RoutingFactKind.CUSTOMER_LEFT:
                story.awaiting_ms = 0
            case RoutingFactKind.AGENT_REPLIED | RoutingFactKind.REPLY_WRITTEN:
                if not story.answered:
                    story.answered = True
                    self._noted("first_response", flow.first_response, at - story.arrived_ms, story)
                if story.awaiting_ms:
                    self._noted("response", flow.response, at - story.awaiting_ms, story)
                    story.awaiting_ms = 0
            case RoutingFactKind.COMPLETED:
                if not story.completed:
                    story.completed = True
                    flow.completed += 1
                    self._noted("resolution", flow.resolution, at - story.arrived_ms, story)
                self._close(story, at)
            case RoutingFactKind.ABANDONED:
                flow.abandoned += 1
                story.over = True
                self._close(story, at)
            case RoutingFactKind.CANCELLED:
                flow.cancelled += 1
                story.over = True
                self._close(story, at)
            case RoutingFactKind.REPLY_FAILED:
                story.awaiting_ms = story.awaiting_ms or at  # the durations that were counted stay counted
            case RoutingFactKind.MOVED | RoutingFactKind.REPLY_SENT:
                pass

    def _noted(self, kind: str, times: Times, ms: int, story: Story) -> None:
        times.note(ms)
        self.noted.append(Noted(kind, story.tenant, story.queue, story.channel, max(0, ms)))

    def _begin(self, fact: RoutingFact, counted_ms: int) -> None:
        at = fact.occurred_at_ms
        arrived = fact.arrived_at_ms if 0 < fact.arrived_at_ms < at else at  # share one int object
        story = self.stories[fact.interaction_id] = Story(
            fact.interaction_id,
            fact.tenant,
            fact.queue,
            fact.channel,
            arrived,
            at,
            at,
            fact.estimated_p50_ms,
            fact.estimated_p90_ms,
            last_epoch=fact.epoch,
            awaiting_ms=arrived,
        )
        self._flow(story, counted_ms).contacts += 1
        contact = Contact(fact.interaction_id, fact.tenant, who(fact), counted_ms, fact.queue, fact.channel)
        self.contacts[fact.interaction_id] = counted_ms
        self.new_contacts[fact.interaction_id] = contact

    def _close(self, story: Story, at_ms: int) -> None:
        story.closed_ms = at_ms
        story.awaiting_ms = 0
        self._closed.append((at_ms, story.interaction_id))

    def _flow(self, story: Story, at_ms: int) -> Flow:
        """Return the counts to which an event of this story is added, marked as touched."""
        day = at_ms // DAY_MS
        if day > self._newest_day:
            self._newest_day = day
            for old in [key for key in self.flows if key.day <= day - KEPT_DAYS]:
                del self.flows[old]
                self._changed.flows[old] = None
        key = FlowKey(story.tenant, day, at_ms % DAY_MS // SLOT_MS, story.queue, story.channel)
        self._changed.flows[key] = None
        flow = self.flows.get(key)
        if flow is None:
            if len(self.flows) >= self._most_flows:
                self._roll_up()
            flow = self.flows[key] = Flow()
        return flow

    def _roll_up(self) -> None:
        """Merge the half hours of the oldest day that still has them into whole days."""
        oldest = min((key.day for key in self.flows if key.slot != WHOLE_DAY), default=self._newest_day)
        if oldest >= self._newest_day:
            return
        for key in [key for key in self.flows if key.day == oldest and key.slot != WHOLE_DAY]:
            whole = FlowKey(key.tenant, key.day, WHOLE_DAY, key.queue, key.channel)
            self.flows.setdefault(whole, Flow()).add(self.flows.pop(key))
            self._changed.flows[key] = self._changed.flows[whole] = None

    def _forget_contacts(self, now_ms: int) -> None:
        while self.contacts:
            interaction_id, at_ms = next(iter(self.contacts.items()))
            if at_ms + self._contacts_kept_ms > now_ms and len(self.contacts) <= MOST_CONTACTS:
                return
            del self.contacts[interaction_id]
            self._changed.gone_contacts[interaction_id] = None


def who(fact: RoutingFact) -> int:
    """Return the same number for the same person (or for the same conversation, if no person is known). The number
    reveals nothing else about the person."""
    name = f"p/{fact.person_id}" if fact.person_id else f"c/{fact.conversation_id}"
    return int.from_bytes(blake2b(f"{fact.tenant}/{name}".encode(), digest_size=7).digest(), "big")
