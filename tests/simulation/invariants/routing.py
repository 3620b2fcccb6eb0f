"""I1 to I4 from routing.events.v1: one end, one holder at a time, capacity at every offset, one answer to each offer."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.records import EPOCH_HEADER, Record
from tests.simulation.configuration import CAPACITY
from tests.simulation.world import World

EVENTS: Final = "routing.events.v1"
PUNCTUAL_MS: Final = 1_500
"""How late a timer may fire when nothing is wrong: a batch waits for the one before it, and so does its commit."""
LOST: Final = frozenset({"AGENT_LOST", "SIGNED_OUT"})
"""Reasons of a change after which the agent no longer holds what they were transferring warm."""


@dataclass(slots=True)
class Story:
    """One interaction, as its events say."""

    tenant: str
    epoch: int = 0
    events: list[pb.RoutingEvent] = field(default_factory=list)
    holder: str = ""
    wrapping_up: bool = False
    offers: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Open offers: agent, and the time of expiry."""
    end: str = ""
    assigned_by: int = 0
    """The owner of the shard that made the newest assignment."""


class Routing:
    """Reads all events, in the order in which they were committed."""

    def __init__(self, world: World) -> None:
        self.stories: dict[str, Story] = {}
        self._open: dict[str, Story] = {}
        self._world = world
        self._used: dict[tuple[str, str], int] = defaultdict(int)
        self._offered_by: dict[str, int] = {}
        self._ids: set[str] = set()
        self._read = 0

    def follow(self) -> None:
        """Read the events that were committed since the last call. Violations go to the world's."""
        records = self._world.log.records
        for record in islice(records, self._read, None):
            if record.topic == EVENTS:
                self._world.violations += self._take(record)
        self._read = len(records)

    def held_by(self, tenant: str, agent_id: str) -> set[str]:
        """Return the interactions that an agent holds, without those in wrap-up."""
        return {
            interaction_id
            for interaction_id, story in self._open.items()
            if (story.tenant, story.holder) == (tenant, agent_id) and not story.wrapping_up
        }

    def _take(self, record: Record) -> Iterator[str]:
        event = pb.RoutingEvent.FromString(record.value or b"")
        if event.event_id in self._ids:
            yield f"I8 event {event.event_id} was written twice"
        self._ids.add(event.event_id)
        if event.HasField("interaction"):
            yield from self._event(event)
            self._across_owners(event, int(dict(record.headers)[EPOCH_HEADER]))
        else:
            yield from self._agent(event)

    def at_the_end(self) -> Iterator[str]:
        """Yield what has not come to an end."""
        for interaction_id, story in self.stories.items():
            if not story.end:
                yield f"I10 interaction {interaction_id} is still open: {story.events[-1].WhichOneof('event')}"
            for offer_id in story.offers:
                yield f"I4 offer {offer_id} has no answer"
            if story.holder:
                yield f"I10 {story.holder} still holds {interaction_id}"

    def _agent(self, event: pb.RoutingEvent) -> Iterator[str]:
        changed = event.agent_state_changed
        if changed.total and changed.used > CAPACITY:
            yield f"I3 {event.tenant}/{changed.agent_id} reports a load of {changed.used} of {CAPACITY}"

    def _event(self, event: pb.RoutingEvent) -> Iterator[str]:
        interaction_id, kind = event.interaction.interaction_id, event.WhichOneof("event") or ""
        story = self.stories.get(interaction_id)
        if story is None:
            story = self.stories[interaction_id] = self._open[interaction_id] = Story(event.tenant)
        if event.tenant != story.tenant:
            yield f"I11 interaction {interaction_id} is in {story.tenant} and in {event.tenant}"
        if event.epoch != story.epoch + 1:
            yield f"I2 {interaction_id}: epoch {event.epoch} after {story.epoch} ({kind})"
        self._world.reached["a warm transfer was recalled"] += event.reason == "TRANSFER_RECALLED"
        self._world.reached["a callback was scheduled"] += kind == "scheduled"
        story.epoch = event.epoch
        story.events.append(event)
        if story.end and kind != "wrap_up_ended":
            yield f"I1 {interaction_id}: {kind} after {story.end}"
        yield from self._apply(story, event, kind)
        if story.end:
            self._open.pop(interaction_id, None)
        for agent, used in self._used.items():
            if used > CAPACITY:
                yield f"I3 {agent} has a load of {used} of {CAPACITY} after {kind} of {interaction_id}"

    def _apply(self, story: Story, event: pb.RoutingEvent, kind: str) -> Iterator[str]:
        match kind:
            case "offered":
                self._offer(story, event)
            case "offer_ended":
                yield from self._answer(story, event)
            case "assigned":
                yield from self._assign(story, event)
            case "queued" | "transferred" | "scheduled":
                if kind == "transferred":
                    self._world.reached["an interaction was transferred"] += 1
                elif story.holder:
                    self._world.reached["an interaction was taken from a lost agent"] += 1
                self._release(story)
            case "changed" if event.reason in LOST:
                self._release(story)  # in a warm transfer: another agent is already sought
            case "completed":
                yield from self._complete(story, event)
            case "abandoned" | "cancelled":
                self._release(story)
                story.end = kind
                self._world.reached["a customer left before an agent answered"] += kind == "abandoned"
            case "wrap_up_ended":
                if not story.wrapping_up:
                    yield f"I1 {event.interaction.interaction_id}: a wrap-up ended that had not begun"
                self._release(story)

    def _across_owners(self, event: pb.RoutingEvent, owner: int) -> None:
        story = self.stories[event.interaction.interaction_id]
        if event.HasField("assigned"):
            story.assigned_by = owner
        elif event.HasField("offered"):
            self._offered_by[event.offered.offer_id] = owner
        offer_id = event.assigned.offer_id or event.offer_ended.offer_id
        if offer_id:
            self._world.reached["an offer was open at a takeover"] += owner > self._offered_by.pop(offer_id, owner)
        if event.HasField("agent_replied"):
            self._world.reached["an agent replied after a takeover"] += owner > story.assigned_by

    def _offer(self, story: Story, event: pb.RoutingEvent) -> None:
        offered = event.offered
        story.offers[offered.offer_id] = offered.agent_id, offered.expires_at_ms
        self._used[event.tenant, offered.agent_id] += 1

    def _answer(self, story: Story, event: pb.RoutingEvent) -> Iterator[str]:
        ended = event.offer_ended
        offer = story.offers.pop(ended.offer_id, None)
        if offer is None:
            yield f"I4 offer {ended.offer_id} has a second answer, or was never made"
            return
        self._used[event.tenant, ended.agent_id] -= 1
        if ended.end == pb.OFFER_END_EXPIRED:
            self._world.reached["an offer expired"] += 1
            late_ms = event.occurred_at_ms - offer[1]
            if late_ms < 0:
                yield f"I4 offer {ended.offer_id} expired {-late_ms} ms too early"
            if late_ms > PUNCTUAL_MS and self._world.calm(offer[1]):
                yield f"I4 offer {ended.offer_id} expired {late_ms} ms late"

    def _assign(self, story: Story, event: pb.RoutingEvent) -> Iterator[str]:
        agent_id, offer_id = event.assigned.agent_id, event.assigned.offer_id
        if story.holder:
            yield f"I2 {event.interaction.interaction_id} is assigned to {agent_id} while {story.holder} holds it"
        if offer_id and story.offers.pop(offer_id, None) is None:
            yield f"I4 offer {offer_id} was accepted, but was not open"
        elif not offer_id:
            self._used[event.tenant, agent_id] += 1
        story.holder = agent_id

    def _complete(self, story: Story, event: pb.RoutingEvent) -> Iterator[str]:
        if story.holder != event.completed.agent_id:
            yield f"I2 {event.completed.agent_id} completed {event.interaction.interaction_id} of {story.holder!r}"
        story.end = "completed"
        if event.completed.wrap_up_until_ms:
            story.wrapping_up = True
        else:
            self._release(story)

    def _release(self, story: Story) -> None:
        if story.holder:
            self._used[story.tenant, story.holder] -= 1
        story.holder, story.wrapping_up = "", False
