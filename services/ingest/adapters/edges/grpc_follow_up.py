"""OpenFollowUp: sends the request as a question to the identity's lane, its only writer, and answers with the lane's verdict."""

from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.clock import Clock
from services.chassis.ids import derive
from services.ingest.adapters.edges.grpc_checks import MAX_KEY_BYTES, optional, raise_for, required
from services.ingest.domain.normalise.message import Refusal
from services.ingest.domain.normalise.text import forbidden
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Questions

MAX_LABELS = 20
MAX_REQUIREMENTS = 20


class FollowUpAsker:
    """Handles OpenFollowUpRequests."""

    def __init__(self, questions: Questions, clock: Clock) -> None:
        self._questions = questions
        self._clock = clock

    async def open(self, tenant: str, request: ingest_pb2.OpenFollowUpRequest) -> ingest_pb2.OpenFollowUpResponse:
        """Open a follow-up; it is open when this returns.

        Raises INVALID with violations, NOT_FOUND for an id that is not the tenant's, UNAVAILABLE.
        """
        raise_for(_wrong(request))
        record = records_pb2.InboundRecord(
            tenant=tenant,
            follow_up=records_pb2.FollowUpRequest(
                request_id=request.idempotency_key,
                identity_id=request.identity_id,
                conversation_id=request.conversation_id,
                queue=request.queue,
                priority=request.priority,
                requirements=request.requirements,
                labels=dict(request.labels),
                reason=request.reason,
                requested_at_ms=self._clock(),
            ),
        )
        await self._questions.ask(request.identity_id, record)
        return ingest_pb2.OpenFollowUpResponse(interaction_id=derive("follow-up", tenant, request.idempotency_key))


def _wrong(request: ingest_pb2.OpenFollowUpRequest) -> list[Refusal | None]:
    parts = [part for pair in request.labels.items() for part in pair]
    return [
        required("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
        required("identity_id", request.identity_id),
        optional("conversation_id", request.conversation_id),
        required("queue", request.queue),
        required("reason", request.reason),
        Refusal(Reason.INVALID_FIELD, "labels", f"must not be more than {MAX_LABELS}")
        if len(request.labels) > MAX_LABELS
        else None,
        Refusal(Reason.INVALID_FIELD, "requirements", f"must not be more than {MAX_REQUIREMENTS}")
        if len(request.requirements) > MAX_REQUIREMENTS
        else None,
        *(optional("labels", part) or forbidden(part, "labels") for part in parts),
    ]
