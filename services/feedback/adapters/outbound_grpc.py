"""Sends invitations through ingest's OutboundService, each with its own idempotency key: a retry is the same
delivery."""

import grpc

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.ingest.v1 import records_pb2 as ingest_records
from services.chassis.grpc.client import chapar_errors, for_tenant, idempotent
from services.feedback.ports import OutgoingInvitation


class GrpcInvitationSender:
    """Implements `ports.InvitationSender`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = ingest_pb2_grpc.OutboundServiceStub(channel)

    async def send(self, invitation: OutgoingInvitation) -> str:
        request = ingest_pb2.SendRequest(
            idempotency_key=invitation.key,
            identity_id=invitation.identity_id,
            conversation_id=invitation.conversation_id,
            interaction_id=invitation.interaction_id,
            text=invitation.text,
            purpose=ingest_records.OUTBOUND_PURPOSE_SURVEY,
            invitation_id=invitation.invitation_id,
            survey_kind=invitation.kind.value,
            survey_amend_for_ms=invitation.amend_for_ms,
        )
        request.survey_expires_at.FromMilliseconds(invitation.expires_at_ms)
        metadata = (*idempotent(invitation.key), *for_tenant(invitation.tenant))
        with chapar_errors():
            response = await self._stub.Send(request, metadata=metadata)
        return str(response.delivery_id)
