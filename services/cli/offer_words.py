"""Who offers' interactions are from and how they begin, for the agent who decides whether to accept."""

from __future__ import annotations

import asyncio
from typing import Final

import grpc

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.cli.folding import folded

MOST_CHARACTERS: Final = 60
_PAGES: Final = 4
_PAGE: Final = 500
PATIENCE_S: Final = 3.0
"""History may not have the first message yet."""
_AGAIN_S: Final = 0.2
_LATER: Final = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED})
"""Answers that may differ when history has caught up: until then it does not know in whose queue the conversation is."""


async def offer_words(
    ingest: ingest_pb2_grpc.IngestServiceAsyncStub,
    conversation_id: str,
    interaction_id: str,
    patience_s: float = PATIENCE_S,
) -> str:
    """Return the customer's name, if it is known, and their first words, e.g. "Maryam: where is my order?".

    Empty when history does not have them in time, or the agent may not read the conversation.
    """
    try:
        async with asyncio.timeout(patience_s):
            while True:
                try:
                    view, said = await _read(ingest, conversation_id, interaction_id)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in _LATER:
                        return ""
                else:
                    if said is not None:
                        return summary(view.identity.display_name, said)
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        return ""


def summary(name: str, said: records_pb2.ConversationMessage) -> str:
    """Return name and first words in one line."""
    words = " ".join(folded(said)[0].split()) or " ".join(said.subject.split())
    if len(words) > MOST_CHARACTERS:
        words = words[: MOST_CHARACTERS - 1].rsplit(" ", 1)[0] + "…"
    if said.attachments and not words:
        words = f"{len(said.attachments)} {'attachment' if len(said.attachments) == 1 else 'attachments'}"
    return f"{' '.join(name.split())}: {words}" if name.strip() else words


async def _read(
    ingest: ingest_pb2_grpc.IngestServiceAsyncStub, conversation_id: str, interaction_id: str
) -> tuple[ingest_pb2.ConversationView, records_pb2.ConversationMessage | None]:
    """Return the conversation, and the first message of the customer in this interaction; None if history has none yet."""
    request = ingest_pb2.GetConversationRequest(conversation_id=conversation_id, page=types_pb2.PageRequest(size=_PAGE))
    for _ in range(_PAGES):
        answer = await ingest.GetConversation(request)
        for view in answer.messages:
            said = view.message
            if said.author_kind == types_pb2.ACTOR_KIND_CUSTOMER and said.interaction_id == interaction_id:
                return answer.conversation, said
        if not answer.page.next_cursor:
            break
        request.page.cursor = answer.page.next_cursor
    return answer.conversation, None
