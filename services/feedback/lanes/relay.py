"""The relay: events of routing.events.v1 become commands keyed by person on feedback.commands.v1.

Its purpose is the change of key. It decides nothing and remembers nothing: the survey lane decides whom to invite,
because it alone sees all events of a person. At least once (`chassis.kafka.relay`): the survey lane ignores repetitions.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.router.v1 import records_pb2 as router
from services.chassis.ids import derive
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.lane import InvalidRecord, Record
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.relay import RelaySpec
from services.chassis.keys import tenant_key
from services.feedback.domain.reasons import Reason

SPEC: Final = RelaySpec("feedback-relay", "routing.events.v1")
OUTPUT: Final = "feedback.commands.v1"
_AUTO_SUBMITTED: Final = "auto_submitted"
"""The disposition with which an agent says that a machine wrote. The survey lane knows what the others mean."""
_TEAM: Final = "team"
"""An attribute that the router itself requires; it says nothing about the topic of the contact."""


def command_of(record: Record) -> Send | None:
    """Return the command that a routing event becomes; None for an event that surveys do not need. Raises InvalidRecord."""
    event = router.RoutingEvent()
    try:
        event.ParseFromString(record.value or b"")
    except DecodeError as error:
        raise InvalidRecord(Reason.UNDECODABLE, "not a RoutingEvent") from error
    match event.WhichOneof("event"):
        case "queued":
            command = contact(event)
        case "assigned":
            command = assignment(event)
        case "completed":
            command = consider(event)
        case "abandoned" | "cancelled":
            command = interaction_end(event)
        case _:
            return None
    if command is None:
        return None
    return Send(
        OUTPUT,
        None,
        tenant_key(command.tenant, command.person_id),
        command.SerializeToString(),
        record_headers(OUTPUT, command.command_id, command.tenant),
    )


def consider(event: router.RoutingEvent) -> pb.FeedbackCommand | None:
    """Return the command for a completed interaction; None if there is no person to invite or no way to reach them."""
    attributes = event.interaction
    if not (event.tenant and attributes.interaction_id and attributes.person_id and attributes.identity_id):
        return None
    labels = dict(attributes.labels)
    automatic = attributes.automatic
    if event.completed.disposition == _AUTO_SUBMITTED and not automatic:
        automatic = types_pb2.AUTOMATIC_KIND_AUTO_REPLY
    return pb.FeedbackCommand(
        command_id=derive(event.event_id, "consider"),
        tenant=event.tenant,
        person_id=attributes.person_id,
        issued_at_ms=event.occurred_at_ms,
        consider=pb.ConsiderInvitation(
            subject=_subject(
                attributes,
                automatic=automatic,
                agent_id=event.completed.agent_id,
                labels=labels,
                agent_ids=[event.completed.agent_id] if event.completed.agent_id else [],
                config_version=event.configuration_version,
                skills=_skills(attributes.requirements),
            ),
            completed_at_ms=event.occurred_at_ms,
            began_at_ms=attributes.arrived_at_ms,
            disposition=event.completed.disposition,
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
            subject=_subject(attributes, automatic=attributes.automatic, labels=dict(attributes.labels)),
            at_ms=attributes.arrived_at_ms or event.occurred_at_ms,
        ),
    )


def assignment(event: router.RoutingEvent) -> pb.FeedbackCommand | None:
    """Return the command for an agent who was assigned; None if there is no person."""
    agent_id, interaction_id = event.assigned.agent_id, event.interaction.interaction_id
    if not (event.tenant and interaction_id and event.interaction.person_id and agent_id):
        return None
    return pb.FeedbackCommand(
        command_id=derive(event.event_id, "assignment"),
        tenant=event.tenant,
        person_id=event.interaction.person_id,
        issued_at_ms=event.occurred_at_ms,
        assignment=pb.RecordAssignment(interaction_id=interaction_id, agent_id=agent_id),
    )


def interaction_end(event: router.RoutingEvent) -> pb.FeedbackCommand | None:
    """Return the command for an interaction that ended without being completed; None if there is no person."""
    interaction_id = event.interaction.interaction_id
    if not (event.tenant and interaction_id and event.interaction.person_id):
        return None
    return pb.FeedbackCommand(
        command_id=derive(event.event_id, "interaction end"),
        tenant=event.tenant,
        person_id=event.interaction.person_id,
        issued_at_ms=event.occurred_at_ms,
        interaction_end=pb.RecordInteractionEnd(interaction_id=interaction_id),
    )
