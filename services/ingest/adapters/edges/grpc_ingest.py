"""IngestService: takes messages and follow-ups, and reads conversations and interactions from the history."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.current_call import current_caller, current_tenant
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.requests import RequestRefused, with_refusals
from services.chassis.tokens import Caller
from services.ingest.adapters.edges.grpc_checks import MAX_KEY_BYTES, optional, raise_for, required
from services.ingest.adapters.edges.grpc_files import FileLinker
from services.ingest.adapters.edges.grpc_follow_up import FollowUpAsker
from services.ingest.adapters.edges.grpc_submit import Submitter
from services.ingest.domain.reach import Reach, reach_of
from services.ingest.domain.reasons import Reason
from services.ingest.ports import AgentQueues, History

_MAX_WORDS_BYTES = 1000
_SLOW_DOWN_S = 3.0


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """See the contract."""

    def __init__(
        self,
        submitter: Submitter,
        follow_ups: FollowUpAsker,
        history: History | None,
        queues: AgentQueues,
        files: FileLinker,
    ) -> None:
        self._files = files
        self._submitter = submitter
        self._follow_ups = follow_ups
        self._history = history
        self._queues = queues

    async def Submit(self, request: ingest_pb2.SubmitRequest, context: Any) -> ingest_pb2.SubmitResponse:  # noqa: N802 - the contract's name
        """Take one message."""
        return await self._submitter.submit(current_tenant(), request)

    async def SubmitStream(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[ingest_pb2.SubmitStreamRequest], context: Any
    ) -> AsyncIterator[ingest_pb2.SubmitStreamResponse]:
        """Take many messages. Each is answered in order, and a refused message does not end the stream."""
        tenant = current_tenant()
        async for each in with_refusals(request_iterator):
            if isinstance(each, RequestRefused):
                yield ingest_pb2.SubmitStreamResponse(
                    idempotency_key=each.request.message.idempotency_key[:MAX_KEY_BYTES],
                    refused_reason=each.reason,
                    refused_message=each.message,
                )
                continue
            answer = ingest_pb2.SubmitStreamResponse(idempotency_key=each.message.idempotency_key)
            try:
                answer.accepted.CopyFrom(await self._submitter.submit(tenant, each.message))
            except ChaparError as error:
                if error.kind is ErrorKind.INTERNAL:
                    raise
                if error.retry_after_s is not None:
                    # Flow control slows the sender down: an immediate answer would let the sender write the next message.
                    await asyncio.sleep(min(error.retry_after_s, _SLOW_DOWN_S))
                answer.refused_reason = error.reason
                answer.refused_message = error.message
            yield answer

    async def GetConversation(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.GetConversationRequest, context: Any
    ) -> ingest_pb2.GetConversationResponse:
        """Return a conversation with a page of its messages."""
        raise_for((required("conversation_id", request.conversation_id),))
        return await self._reads().conversation(self._reach(), request)

    async def WatchConversation(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.WatchConversationRequest, context: Any
    ) -> AsyncIterator[ingest_pb2.WatchConversationResponse]:
        """Stream messages as they arrive, until the caller cancels or may no longer read the conversation."""
        raise_for((required("conversation_id", request.conversation_id),))
        reach = partial(self._reach_of, current_tenant(), current_caller())
        watched = self._reads().watch(
            reach, request.conversation_id, request.after_sequence, changes=request.delivery_changes
        )
        async for view in watched:
            yield ingest_pb2.WatchConversationResponse(message=view)

    async def SearchConversations(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.SearchConversationsRequest, context: Any
    ) -> ingest_pb2.SearchConversationsResponse:
        """Return a page of conversations, newest first."""
        raise_for(
            (
                optional("person_id", request.person_id),
                optional("channel", request.channel),
                optional("words", request.words, _MAX_WORDS_BYTES),
            )
        )
        return await self._reads().search(self._reach(), request)

    async def GetInteraction(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.GetInteractionRequest, context: Any
    ) -> ingest_pb2.GetInteractionResponse:
        """Return an interaction with all of its events."""
        raise_for((required("interaction_id", request.interaction_id),))
        return await self._reads().interaction(self._reach(), request.interaction_id)

    async def GetFileLink(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.GetFileLinkRequest, context: Any
    ) -> ingest_pb2.GetFileLinkResponse:
        """Return a link to a file of a message."""
        return await self._files.link(self._reads(), self._reach(), request)

    async def ListInteractions(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.ListInteractionsRequest, context: Any
    ) -> ingest_pb2.ListInteractionsResponse:
        """Return a page of interactions, newest first."""
        raise_for(optional(name, getattr(request, name)) for name in ("state", "queue", "channel"))
        return await self._reads().interactions(self._reach(), request)

    async def OpenFollowUp(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.OpenFollowUpRequest, context: Any
    ) -> ingest_pb2.OpenFollowUpResponse:
        """Open an interaction that no message began."""
        return await self._follow_ups.open(current_tenant(), request)

    def _reach(self) -> Reach:
        return self._reach_of(current_tenant(), current_caller())

    def _reach_of(self, tenant: str, caller: Caller) -> Reach:
        return reach_of(tenant, caller.scopes, caller.agent_id, self._queues.of(tenant))

    def _reads(self) -> History:
        if self._history is None:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, Reason.HISTORY_OFF, "this replica keeps no history: ask another one"
            )
        return self._history
