"""Feedback's dispatcher on the simulated log: the real one, with its ports to the log instead of gRPC and Kafka."""

from collections.abc import Callable

from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.ingest.v1 import records_pb2 as ingest
from services.chassis.ids import derive
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import Record
from services.chassis.keys import tenant_key
from services.chassis.privacy.sealing import unseal
from services.feedback.adapters.configuration import ConfiguredProgrammes
from services.feedback.adapters.handlers import Dispatcher
from services.feedback.lanes.survey import OUTPUT, SPEC
from services.feedback.ports import OutgoingInvitation, Ticket
from services.policy.model.surveys import Programme
from tests.fakes.lane import finish
from tests.simulation.edges import Edges
from tests.simulation.process import Process
from tests.simulation.world import World


class _PlainLinks:
    """Implements `ports.Links`: no customer follows the links of a simulation."""

    def url(self, ticket: Ticket) -> str:
        """See `ports.Links`."""
        return f"https://survey.example/{ticket.invitation_id}"

    def read(self, token: str) -> Ticket | None:
        """See `ports.Links`."""
        raise AssertionError(f"no page of a simulation reads {token}")

    def refusal(self, token: str) -> str:
        """See `ports.Links`."""
        raise AssertionError(f"no page of a simulation refuses {token}")


class _ByTheLog:
    """Implements `ports.InvitationSender` and `ports.CommandLog`: ingest's edge and the producer write records."""

    def __init__(self, edges: Edges, clock: Callable[[], int]) -> None:
        self._edges = edges
        self._clock = clock

    async def send(self, invitation: OutgoingInvitation) -> str:
        """Write the request as ingest's OutboundService does."""
        request = ingest.OutboundRequest(
            request_id=invitation.key,
            tenant=invitation.tenant,
            identity_id=invitation.identity_id,
            conversation_id=invitation.conversation_id,
            interaction_id=invitation.interaction_id,
            text=invitation.text,
            purpose=ingest.OUTBOUND_PURPOSE_SURVEY,
            invitation_id=invitation.invitation_id,
            survey_kind=invitation.kind.value,
            survey_expires_at_ms=invitation.expires_at_ms,
            survey_amend_for_ms=invitation.amend_for_ms,
            author_id="feedback",
            requested_at_ms=self._clock(),
        )
        record = ingest.InboundRecord(tenant=invitation.tenant, outbound=request)
        self._edges.inbound(record, invitation.identity_id)
        return derive(invitation.tenant, invitation.key)

    async def publish(self, command: pb.FeedbackCommand, *, proven: bool = True) -> None:
        """Write the command."""
        named = record_headers(SPEC.input, command.command_id, command.tenant)
        key = tenant_key(command.tenant, command.person_id)
        self._edges.write(Send(SPEC.input, None, key, command.SerializeToString(), named))


def dispatch(world: World, edges: Edges, programmes: ConfiguredProgrammes) -> Callable[[Process, Record], None]:
    """Return the handler of records of feedback.responses.v1."""

    def handle(process: Process, record: Record) -> None:
        ports = _ByTheLog(edges, process.clock)
        dispatcher = Dispatcher(programmes, _PlainLinks(), ports, ports, process.clock, _shown)
        found = pb.FeedbackRecord.FromString(record.value or b"")
        unseal(found, world.keys, OUTPUT, record.key or b"")
        result = finish(dispatcher.dispatch(found))
        if result != "ignored":
            world.note("dispatcher", result)

    return handle


def _shown(at_ms: int, _programme: Programme, _language: str) -> str:
    return str(at_ms)
