"""IngestService."""

from collections.abc import AsyncIterator
from typing import Any

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.context import current_tenant
from services.ingest.adapters.edges.grpc_submit import Submitter


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """See the contract."""

    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter

    async def Submit(self, request: ingest_pb2.SubmitRequest, context: Any) -> ingest_pb2.SubmitResponse:  # noqa: N802 - the contract's name
        """One message."""
        return await self._submitter.submit(current_tenant(), request)

    async def SubmitStream(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[ingest_pb2.SubmitStreamRequest], context: Any
    ) -> AsyncIterator[ingest_pb2.SubmitStreamResponse]:
        """Many: each is answered in order, and a refused one does not end the stream."""
        tenant = current_tenant()
        async for each in request_iterator:
            answer = ingest_pb2.SubmitStreamResponse(idempotency_key=each.message.idempotency_key)
            try:
                answer.accepted.CopyFrom(await self._submitter.submit(tenant, each.message))
            except ChaparError as error:
                if error.kind is ErrorKind.INTERNAL:
                    raise
                answer.refused_reason = error.reason
                answer.refused_message = error.message
            yield answer

    async def GetConversation(self, request: ingest_pb2.GetConversationRequest, context: Any) -> Any:  # noqa: N802
        raise no_history()

    def WatchConversation(self, request: ingest_pb2.WatchConversationRequest, context: Any) -> Any:  # noqa: N802
        raise no_history()

    async def SearchConversations(self, request: ingest_pb2.SearchConversationsRequest, context: Any) -> Any:  # noqa: N802
        raise no_history()

    async def GetInteraction(self, request: ingest_pb2.GetInteractionRequest, context: Any) -> Any:  # noqa: N802
        raise no_history()

    async def ListInteractions(self, request: ingest_pb2.ListInteractionsRequest, context: Any) -> Any:  # noqa: N802
        raise no_history()


def no_history() -> ChaparError:
    """The answer of a replica that runs no history projection."""
    return ChaparError(ErrorKind.UNAVAILABLE, "HISTORY_OFF", "this replica keeps no history: ask another one")
