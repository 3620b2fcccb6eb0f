"""An offer shows who wrote and what: from a real gRPC server that plays history, which may be late."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.cli.offer_words import MOST_CHARACTERS, offer_words, summary

pytestmark = pytest.mark.timeout(30)


def said(text: str, **more: Any) -> records_pb2.ConversationMessage:
    """Return a message of the customer."""
    return records_pb2.ConversationMessage(author_kind=types_pb2.ACTOR_KIND_CUSTOMER, text=text, **more)


@pytest.mark.parametrize(
    ("name", "message", "line"),
    [
        ("Maryam", said("Where is\n my order?"), "Maryam: Where is my order?"),
        ("", said("سلام، قیمت؟"), "سلام، قیمت؟"),
        ("  ", said("", subject="Invoice 12"), "Invoice 12"),
        ("Omid", said("", attachments=[records_pb2.Attachment()]), "Omid: 1 attachment"),
        ("A\nB", said("x"), "A B: x"),
    ],
)
def test_the_line_has_the_name_if_known_and_the_first_words(
    name: str, message: records_pb2.ConversationMessage, line: str
) -> None:
    """One line, whatever the customer wrote."""
    assert summary(name, message) == line


def test_long_text_is_cut_at_a_word_and_quotes_are_left_out() -> None:
    """The agent sees how the customer begins."""
    cut = summary("", said("word " * 40))
    assert cut.endswith("word…")
    assert len(cut) <= MOST_CHARACTERS
    new, quoted = "Yes please.\n", "> Shall we send it?"
    parts = [
        records_pb2.TextPart(kind=records_pb2.TEXT_PART_KIND_NEW, length=len(new)),
        records_pb2.TextPart(kind=records_pb2.TEXT_PART_KIND_QUOTED, length=len(quoted)),
    ]
    assert summary("", said(new + quoted, text_parts=parts)) == "Yes please."


class History(ingest_pb2_grpc.IngestServiceServicer):
    """Answers with one code after the other; then with pages of messages."""

    def __init__(self, codes: list[grpc.StatusCode], pages: list[list[records_pb2.ConversationMessage]]) -> None:
        self.codes = codes
        self.pages = pages
        self.asked = 0

    async def GetConversation(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.GetConversationRequest, context: Any
    ) -> ingest_pb2.GetConversationResponse:
        """Answer with the next code, or with a page."""
        self.asked += 1
        if self.codes:
            await context.abort(self.codes.pop(0), "not yet")
        at = int(request.page.cursor or 0)
        answer = ingest_pb2.GetConversationResponse(
            conversation=ingest_pb2.ConversationView(identity=records_pb2.Identity(display_name="Maryam"))
        )
        answer.messages.extend(ingest_pb2.MessageView(message=each) for each in self.pages[at])
        if at + 1 < len(self.pages):
            answer.page.next_cursor = str(at + 1)
        return answer


@asynccontextmanager
async def history(
    codes: list[grpc.StatusCode], pages: list[list[records_pb2.ConversationMessage]]
) -> AsyncIterator[tuple[History, Any]]:
    """Run the server; provide it and a stub."""
    servicer = History(codes, pages)  # type: ignore[abstract]  # an offer asks for the conversation only
    server = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield servicer, ingest_pb2_grpc.IngestServiceStub(channel)
    finally:
        await server.stop(0)


async def test_the_words_are_those_of_the_offered_interaction() -> None:
    """Not of an earlier one, and not of an agent; also on a later page, and when history is late."""
    pages = [
        [said("old", interaction_id="i0"), records_pb2.ConversationMessage(text="agent", interaction_id="i1")],
        [said("My card is lost", interaction_id="i1"), said("hello?", interaction_id="i1")],
    ]
    late = [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED]
    async with history(late, pages) as (servicer, stub):
        assert await offer_words(stub, "c", "i1") == "Maryam: My card is lost"
        assert servicer.asked == 4


async def test_without_an_answer_the_offer_has_no_words() -> None:
    """A refusal that time does not change ends the question at once; a history that never has the message ends it in time."""
    async with history([grpc.StatusCode.UNIMPLEMENTED], [[]]) as (servicer, stub):
        assert await offer_words(stub, "c", "i1") == ""
        assert servicer.asked == 1
        assert await offer_words(stub, "c", "i1", patience_s=0.5) == ""
        assert servicer.asked > 2
