"""OutboundService.Resend: sends a message again that failed, or whose outcome is not known, because a person asks for it.

The text, or the template with its parameters, comes from history, where messages with a verdict are, also those that
did not arrive. The new delivery is a request like any other: the lane of the identity decides, and a template has the
words that are configured now. The sender refuses it if the old one has been sent after all.
"""

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.clock import Clock
from services.chassis.current_call import current_caller, current_tenant
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.ids import derive
from services.ingest.adapters.edges.grpc_checks import MAX_KEY_BYTES, raise_for, required
from services.ingest.domain.reach import reach_of
from services.ingest.domain.reasons import Reason
from services.ingest.ports import AgentQueues, Deliveries, Questions

_RESENDABLE = (records_pb2.DELIVERY_STATE_FAILED, records_pb2.DELIVERY_STATE_UNKNOWN)


class Resender:
    """Handles the method. `deliveries` is None on a replica without history."""

    def __init__(self, questions: Questions, deliveries: Deliveries | None, queues: AgentQueues, clock: Clock) -> None:
        self._questions = questions
        self._deliveries = deliveries
        self._queues = queues
        self._clock = clock

    async def resend(self, request: ingest_pb2.ResendRequest) -> ingest_pb2.ResendResponse:
        """Ask the sender for a new delivery with the old text. Raises NOT_FOUND for a delivery that the caller may not
        see, FAILED_PRECONDITION NOT_RESENDABLE for one that is neither FAILED nor UNKNOWN."""
        tenant, caller = current_tenant(), current_caller()
        raise_for(
            (
                required("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
                required("delivery_id", request.delivery_id),
            )
        )
        if self._deliveries is None:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, Reason.HISTORY_OFF, "this replica keeps no history: ask another one"
            )
        reach = reach_of(tenant, caller.scopes, caller.agent_id, self._queues.of(tenant))
        found = await self._deliveries.resendable(reach, request.delivery_id)
        if found is None:
            raise ChaparError(ErrorKind.NOT_FOUND, Reason.UNKNOWN_DELIVERY, "this delivery is not known (yet)")
        old = found.delivery
        if old.state not in _RESENDABLE:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                Reason.NOT_RESENDABLE,
                "only a delivery that is FAILED or UNKNOWN can be sent again",
            )
        if not found.text and not found.attachments and found.template is None:
            raise ChaparError(
                ErrorKind.NOT_FOUND, Reason.UNKNOWN_DELIVERY, "the text of this delivery is not known (yet)"
            )
        agent = types_pb2.ACTOR_KIND_AGENT if caller.agent_id else types_pb2.ACTOR_KIND_SUPERVISOR
        record = records_pb2.InboundRecord(
            tenant=tenant,
            outbound=records_pb2.OutboundRequest(
                request_id=request.idempotency_key,
                tenant=tenant,
                identity_id=found.identity_id,
                conversation_id=old.conversation_id,
                interaction_id=old.interaction_id,
                text=found.text if found.template is None else "",
                template=found.template,
                attachments=found.attachments,
                purpose=old.purpose,
                author_kind=agent,
                author_id=caller.agent_id or caller.subject,
                requested_at_ms=self._clock(),
                pool=old.pool,
                resends_delivery_id=old.delivery_id,
                to=found.to,
                cc=found.cc,
            ),
        )
        await self._questions.ask(found.identity_id, record)
        return ingest_pb2.ResendResponse(delivery_id=derive(tenant, request.idempotency_key))
