"""The relay lane: completed interactions of routing.events.v1 become commands keyed by person on feedback.commands.v1.

Its purpose is the change of key, exactly once. It decides nothing: the survey lane decides whom to invite, because it
alone sees all events of a person. A completed event names the last agent only, so the relay lane remembers the agents
of an interaction while it is open, and forgets them at its end.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.router.v1 import records_pb2 as router
from services.chassis.ids import derive
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.lane import InvalidRecord, LaneContext, LaneSpec, Outbox, Processor, Record
from services.chassis.keys import tenant_key
from services.feedback.domain.reasons import Reason
from services.feedback.translate import kept

SPEC: Final = LaneSpec(name="feedback-relay", input="routing.events.v1", changelog=None, group="feedback-relay")
OUTPUT: Final = "feedback.commands.v1"
MOST_HOLDERS: Final = 20
"""If an interaction has had more agents, the first ones are left out."""
_UNASKED_DISPOSITIONS: Final = frozenset({"spam", "auto_submitted"})
_ENDS: Final = frozenset({"completed", "abandoned", "cancelled"})
_HOLDERS: Final = b"h/"
_TEAM: Final = "team"
"""An attribute that the router itself requires; it says nothing about the topic of the contact."""


class RelayProcessor:
    """Agents of the open interactions of one partition."""

    def __init__(self) -> None:
        self._holders: dict[bytes, tuple[str, ...]] = {}

    def restore(self, key: bytes, value: bytes) -> None:
        self._holders[key] = kept.decode_holders(value)

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """See Processor. Nothing to do at the start."""

    def begin(self, now_ms: int) -> None:
        """See Processor. Times come from the events."""

    def handle(self, record: Record, outbox: Outbox) -> None:
        event = router.RoutingEvent()
        try:
            event.ParseFromString(record.value or b"")
        except DecodeError as error:
            raise InvalidRecord(Reason.UNDECODABLE, "not a RoutingEvent") from error
        which = event.WhichOneof("event")
        key = _HOLDERS + f"{event.tenant}/{event.interaction.interaction_id}".encode("utf-8", "surrogatepass")
        if which == "assigned":
            self._assigned(key, event.assigned.agent_id, outbox)
        holders: tuple[str, ...] = ()
        if which in _ENDS:
            holders = self._holders.pop(key, ())
            if holders:
                outbox.delete(key)
        match which:
            case "completed":
                command = consider(event, holders)
            case "queued":
                command = contact(event)
            case _:
                return
        if command is None:
            return
        outbox.send(
            OUTPUT,
            tenant_key(command.tenant, command.person_id),
            command.SerializeToString(),
            record_headers(OUTPUT, command.command_id, command.tenant),
        )

    def _assigned(self, key: bytes, agent_id: str, outbox: Outbox) -> None:
        holders = held_by(self._holders.get(key, ()), agent_id)
        if holders != self._holders.get(key):
            self._holders[key] = holders
            outbox.put(key, kept.encode(holders))

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """See Processor. There are no timers."""

    def end(self, outbox: Outbox) -> None:
        """See Processor. There is no journal."""

    def next_wakeup(self) -> int | None:
        return None


def held_by(holders: tuple[str, ...], agent_id: str) -> tuple[str, ...]:
    """Return the agents with one more at the end; each is listed once, at the latest place."""
    if not agent_id:
        return holders
    return (*(each for each in holders if each != agent_id), agent_id)[-MOST_HOLDERS:]


def consider(event: router.RoutingEvent, holders: tuple[str, ...] = ()) -> pb.FeedbackCommand | None:
    """Return the command for a completed interaction; None if there is no person to invite or no way to reach them."""
    attributes = event.interaction
    if not (event.tenant and attributes.interaction_id and attributes.person_id and attributes.identity_id):
        return None
    labels = dict(attributes.labels)
    if event.completed.disposition in _UNASKED_DISPOSITIONS:
        labels[event.completed.disposition] = "true"
    return pb.FeedbackCommand(
        command_id=derive(event.event_id, "consider"),
        tenant=event.tenant,
        person_id=attributes.person_id,
        issued_at_ms=event.occurred_at_ms,
        consider=pb.ConsiderInvitation(
            subject=_subject(
                attributes,
                agent_id=event.completed.agent_id,
                labels=labels,
                agent_ids=held_by(holders, event.completed.agent_id),
                config_version=event.configuration_version,
                skills=_skills(attributes.requirements),
            ),
            completed_at_ms=event.occurred_at_ms,
        ),
    )


def _subject(attributes: router.InteractionAttributes, **more: Any) -> pb.Subject:
    return pb.Subject(
        interaction_id=attributes.interaction_id,
        conversation_id=attributes.conversation_id,
        person_id=attributes.person_id,
        identity_id=attributes.identity_id,
        channel=attributes.channel,
        queue=attributes.queue,
        language=attributes.language,
        **more,
    )


def _skills(requirements: Iterable[types_pb2.Selector]) -> Sequence[str]:
    """Return the attributes that the requirements name, including members of groups, each once."""
    found: dict[str, None] = {}
    line = list(requirements)
    while line:
        selector = line.pop(0)
        if selector.attribute and selector.attribute != _TEAM:
            found[selector.attribute] = None
        line[:0] = [*selector.any_of, *selector.all_of]
    return tuple(found)


def contact(event: router.RoutingEvent) -> pb.FeedbackCommand | None:
    """Return the command for an interaction that begins; None if it began before, or if there is no person."""
    attributes = event.interaction
    if event.queued.again or not (event.tenant and attributes.interaction_id and attributes.person_id):
        return None
    return pb.FeedbackCommand(
        command_id=derive(event.event_id, "contact"),
        tenant=event.tenant,
        person_id=attributes.person_id,
        issued_at_ms=event.occurred_at_ms,
        contact=pb.RecordContact(
            subject=_subject(attributes, labels=dict(attributes.labels)),
            at_ms=attributes.arrived_at_ms or event.occurred_at_ms,
        ),
    )


def relay_factory(_context: LaneContext) -> Processor:
    """Return the processor of a partition."""
    return RelayProcessor()
