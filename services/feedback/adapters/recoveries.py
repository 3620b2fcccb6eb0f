"""Opens the recoveries that are due at ingest, and notes each. Delivery is at least once; the invitation's id makes
it once: ingest opens one interaction for it."""

from collections.abc import Mapping
from typing import Final

import grpc

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, Disposition, ErrorKind
from services.chassis.grpc.client import chapar_errors, for_tenant, idempotent
from services.chassis.ids import derive
from services.chassis.logs import get_logger
from services.feedback.domain.contacts import RECOVERY_LABEL
from services.feedback.ports import CommandLog, Recovery, RecoveryOpener

_OURS: Final = frozenset({ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED})
log = get_logger(__name__)


class RecoveryDispatcher:
    """Handles records of feedback.responses.v1."""

    def __init__(self, opener: RecoveryOpener, commands: CommandLog, clock: Clock) -> None:
        self._opener = opener
        self._commands = commands
        self._clock = clock

    async def dispatch(self, record: pb.FeedbackRecord) -> str:
        """Return the result: "ignored", "opened" or "refused". Raises ChaparError if a retry may succeed later;
        repeating is safe."""
        if record.WhichOneof("record") != "recovery_due":
            return "ignored"
        due = record.recovery_due
        try:
            interaction_id = await self._opener.open(_recovery(record.tenant, due))
        except ChaparError as error:
            # If this service's key or rights are wrong, that says nothing about the recovery: an operator corrects
            # them.
            if error.disposition is Disposition.RETRY or error.kind in _OURS:
                raise
            log.error("recovery refused", reason=error.reason, tenant=record.tenant, invitation=due.invitation_id)
            return "refused"
        await self._commands.publish(
            pb.FeedbackCommand(
                command_id=derive(due.invitation_id, "recovery"),
                tenant=record.tenant,
                person_id=record.person_id,
                issued_at_ms=self._clock(),
                recovery=pb.RecordRecovery(
                    invitation_id=due.invitation_id, interaction_id=interaction_id, subject=due.subject
                ),
            )
        )
        return "opened"


def _recovery(tenant: str, due: pb.RecoveryDue) -> Recovery:
    labels: Mapping[str, str] = {
        RECOVERY_LABEL: "true",
        "about": due.subject.interaction_id,
        "invitation": due.invitation_id,
        "score": str(due.score),
        **({"tier": due.subject.labels["tier"]} if "tier" in due.subject.labels else {}),
    }
    return Recovery(
        tenant=tenant,
        invitation_id=due.invitation_id,
        identity_id=due.subject.identity_id,
        conversation_id=due.subject.conversation_id,
        queue=due.queue,
        priority=due.priority,
        requirements=tuple(each.SerializeToString() for each in due.requirements),
        labels=labels,
        reason=f"recovery:{due.rule}"[:200],
    )


class GrpcRecoveryOpener:
    """Implements `ports.RecoveryOpener` by ingest's OpenFollowUp, with the invitation's id as idempotency key."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = ingest_pb2_grpc.IngestServiceStub(channel)

    async def open(self, recovery: Recovery) -> str:
        request = ingest_pb2.OpenFollowUpRequest(
            idempotency_key=recovery.invitation_id,
            identity_id=recovery.identity_id,
            conversation_id=recovery.conversation_id,
            queue=recovery.queue,
            priority=recovery.priority,
            requirements=[types_pb2.Selector.FromString(each) for each in recovery.requirements],
            labels=dict(recovery.labels),
            reason=recovery.reason,
        )
        metadata = (*idempotent(recovery.invitation_id), *for_tenant(recovery.tenant))
        with chapar_errors():
            response = await self._stub.OpenFollowUp(request, metadata=metadata)
        return str(response.interaction_id)
