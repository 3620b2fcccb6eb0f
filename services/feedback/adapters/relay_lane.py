"""The relay lane: completed interactions of routing.events.v1 become commands keyed by person on feedback.commands.v1.

Its only purpose is the change of key, exactly once. It decides nothing: who is asked is the survey lane's business, which alone sees all
of a person.
"""

from typing import Final

from google.protobuf.message import DecodeError

from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.router.v1 import records_pb2 as router
from services.chassis.ids import derive
from services.chassis.kafka.lane import InvalidRecord, LaneContext, LaneSpec, Outbox, Processor, Record
from services.feedback.translate import headers

SPEC: Final = LaneSpec(name="feedback-relay", input="routing.events.v1", changelog=None, group="feedback-relay")
OUTPUT: Final = "feedback.commands.v1"
_SCHEMA: Final = pb.FeedbackCommand.DESCRIPTOR.full_name
_UNASKED_DISPOSITIONS: Final = frozenset({"spam", "auto_submitted"})


class RelayProcessor:
    """Stateless."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Nothing was kept."""

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """Nothing to begin with."""

    def begin(self, now_ms: int) -> None:
        """Times come from the events."""

    def handle(self, record: Record, outbox: Outbox) -> None:
        event = router.RoutingEvent()
        try:
            event.ParseFromString(record.value or b"")
        except DecodeError as error:
            raise InvalidRecord("UNDECODABLE", "not a RoutingEvent") from error
        match event.WhichOneof("event"):
            case "completed":
                command = consider(event)
            case "queued":
                command = contact(event)
            case _:
                return
        if command is None:
            return
        outbox.send(
            OUTPUT,
            command.person_id.encode("utf-8", "surrogatepass"),
            command.SerializeToString(),
            headers(_SCHEMA, command.command_id, command.tenant),
        )

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """No timers."""

    def end(self, outbox: Outbox) -> None:
        """No journal."""

    def next_wakeup(self) -> int | None:
        return None


def consider(event: router.RoutingEvent) -> pb.FeedbackCommand | None:
    """The command for a completed interaction; None where there is nobody to ask or no way to reach him."""
    facts = event.interaction
    if not (event.tenant and facts.interaction_id and facts.person_id and facts.identity_id):
        return None
    labels = dict(facts.labels)
    if event.completed.disposition in _UNASKED_DISPOSITIONS:
        labels[event.completed.disposition] = "true"
    return pb.FeedbackCommand(
        command_id=derive(event.event_id, "consider"),
        tenant=event.tenant,
        person_id=facts.person_id,
        issued_at_ms=event.occurred_at_ms,
        consider=pb.ConsiderInvitation(
            subject=pb.Subject(
                interaction_id=facts.interaction_id,
                conversation_id=facts.conversation_id,
                person_id=facts.person_id,
                identity_id=facts.identity_id,
                channel=facts.channel,
                queue=facts.queue,
                agent_id=event.completed.agent_id,
                language=facts.language,
                labels=labels,
            ),
            completed_at_ms=event.occurred_at_ms,
        ),
    )


def contact(event: router.RoutingEvent) -> pb.FeedbackCommand | None:
    """The command for an interaction that begins; None where it had begun before, or there is nobody."""
    facts = event.interaction
    if event.queued.again or not (event.tenant and facts.interaction_id and facts.person_id):
        return None
    return pb.FeedbackCommand(
        command_id=derive(event.event_id, "contact"),
        tenant=event.tenant,
        person_id=facts.person_id,
        issued_at_ms=event.occurred_at_ms,
        contact=pb.RecordContact(
            subject=pb.Subject(
                interaction_id=facts.interaction_id,
                conversation_id=facts.conversation_id,
                person_id=facts.person_id,
                identity_id=facts.identity_id,
                channel=facts.channel,
                queue=facts.queue,
                language=facts.language,
                labels=dict(facts.labels),
            ),
            at_ms=facts.arrived_at_ms or event.occurred_at_ms,
        ),
    )


def relay_factory(_context: LaneContext) -> Processor:
    """Makes the processor of each partition."""
    return RelayProcessor()
