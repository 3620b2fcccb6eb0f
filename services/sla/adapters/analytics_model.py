"""Analytics data that SlaService reads: stories, flows, contacts, and the lanes' models, followed from the lanes'
changelog.

Each lane learns by itself, so pulses, models and waiting lines are kept by partition, and an interaction is forecast
with those of its own lane: the result is what that lane would forecast.
"""

from collections.abc import Iterable, Iterator

from services.chassis.kafka.records import Record
from services.policy.model.business_time import BusinessTime
from services.sla.domain.analytics import MOST_CONTACTS
from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.flow import Contact, Flow, FlowKey
from services.sla.domain.forecasting import ModelKey, look
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.lines import LineKey, ResponseLines
from services.sla.domain.prediction import Model, Pulse
from services.sla.domain.story import Story
from services.sla.translate import analytics_state as state


class AnalyticsModel:
    """The newest committed state. Applied and read in one event loop."""

    def __init__(self) -> None:
        self._stories: dict[str, Story] = {}
        self._partitions: dict[str, int] = {}
        self._flows: dict[str, dict[tuple[int, FlowKey], Flow]] = {}
        self._contacts: dict[int, dict[str, Contact]] = {}
        self._pulses: dict[tuple[int, LineKey], Pulse] = {}
        self._models: dict[tuple[int, ModelKey], Model] = {}
        self._lines: dict[int, ResponseLines] = {}

    def apply(self, record: Record) -> bool:
        """Apply one record of the changelog. Returns False for a key of another kind."""
        key = record.key or b""
        if record.value is None:
            return self._remove(record.partition, key)
        match state.decode(key, record.value):
            case Story() as story:
                self._stories[story.interaction_id] = story
            case Contact() as contact:
                self._contacts.setdefault(record.partition, {})[contact.interaction_id] = contact
            case state.KeptFlow() as kept:
                self._flows.setdefault(kept.key.tenant, {})[record.partition, kept.key] = kept.flow
            case state.KeptPulse() as kept:
                self._pulses[record.partition, kept.key] = kept.pulse
            case state.KeptModel() as kept:
                self._models[record.partition, kept.key] = kept.model
            case None:
                return False
        return True

    def follow(self, partition: int, interaction: TrackedInteraction) -> None:
        """Update the waiting lines with an interaction as it is now."""
        self._partitions[interaction.interaction_id] = partition
        self._lines_of(partition).follow(interaction)

    def forget(self, interaction_id: str) -> None:
        """Remove an interaction from the waiting lines."""
        partition = self._partitions.pop(interaction_id, None)
        if partition is not None:
            self._lines_of(partition).forget(interaction_id)

    def forecast(
        self, interaction: TrackedInteraction, deadline: Deadline, allowed_ms: int, time: BusinessTime, now_ms: int
    ) -> tuple[float, int] | None:
        """Return the probability of a breach of the adequate level, and the number of outcomes from which it was
        learned; None unless the deadline is running."""
        if deadline.state is not State.RUNNING:
            return None
        partition = self._partitions.get(interaction.interaction_id, 0)
        key = (interaction.tenant, interaction.queue, interaction.channel, deadline.target)
        pulse = self._pulses.get((partition, key)) or Pulse()
        story = self._stories.get(interaction.interaction_id)
        x = look(interaction, deadline, allowed_ms, time, story, self._lines_of(partition), pulse, now_ms)
        model = self._models.get((partition, (interaction.tenant, deadline.target))) or Model.new(deadline.target)
        return model.probability(x), model.learned

    def stories(self, tenant: str, queue: str, channel: str) -> Iterator[Story]:
        """Return the open and recently closed interactions of a tenant."""
        for story in self._stories.values():
            wanted = (not queue or story.queue == queue) and (not channel or story.channel == channel)
            if story.tenant == tenant and wanted:
                yield story

    def flows(self, tenant: str) -> Iterable[tuple[FlowKey, Flow]]:
        """Return all flows of a tenant, of all lanes."""
        return ((key, flow) for (_, key), flow in self._flows.get(tenant, {}).items())

    def contacts(self, tenant: str, kept_ms: int, window_ms: int, now_ms: int) -> tuple[list[Contact], int]:
        """Return a tenant's contacts, and the time from which on it is known of each contact whether the same person
        had come less than a window before."""
        covered = now_ms - kept_ms + window_ms
        found: list[Contact] = []
        for contacts in self._contacts.values():
            if len(contacts) >= MOST_CONTACTS:
                covered = max(covered, min(c.at_ms for c in contacts.values()) + window_ms)
            found += [contact for contact in contacts.values() if contact.tenant == tenant]
        return found, covered

    def _lines_of(self, partition: int) -> ResponseLines:
        lines = self._lines.get(partition)
        if lines is None:
            lines = self._lines[partition] = ResponseLines()
        return lines

    def _remove(self, partition: int, key: bytes) -> bool:
        name = key[2:].decode("utf-8", "replace")
        match key[:2]:
            case b"o/":
                self._stories.pop(name, None)
            case b"c/":
                self._contacts.get(partition, {}).pop(name, None)
            case b"f/":
                flow = state.flow_key_of(key)
                self._flows.get(flow.tenant, {}).pop((partition, flow), None)
            case b"q/" | b"m/":
                pass  # never removed
            case _:
                return False
        return True
