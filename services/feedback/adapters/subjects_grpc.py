"""Checks the subject of an invitation by hand with ingest: the caller names four ids, which must belong to their
tenant and to each other."""

import grpc

from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.grpc.client import chapar_errors, for_tenant


class GrpcSubjects:
    """Implements `ports.Subjects`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = ingest_pb2_grpc.OutboundServiceStub(channel)

    async def check(self, tenant: str, about: pb.Subject) -> None:
        """See `ports.Subjects`. Raises UNAVAILABLE while ingest does not answer."""
        request = ingest_pb2.CheckRecipientRequest(
            identity_id=about.identity_id,
            conversation_id=about.conversation_id,
            interaction_id=about.interaction_id,
            person_id=about.person_id,
        )
        with chapar_errors():
            await self._stub.CheckRecipient(request, metadata=for_tenant(tenant))
