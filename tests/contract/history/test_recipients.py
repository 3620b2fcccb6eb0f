"""History keeps the recipients of mails and who only takes part, and erases both; on SQLite and on PostgreSQL."""

import pytest

from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.ingest.adapters.history.database import Database
from services.ingest.domain.reach import Reach
from tests.contract.history.records import Life, as_records
from tests.contract.history.test_marks import said
from tests.contract.history.test_rows import fold, reader_of


async def messages(database: Database, conversation: str) -> dict[str, records_pb2.ConversationMessage]:
    request = ingest_pb2.GetConversationRequest(conversation_id=conversation)
    answer = await reader_of(database).conversation(Reach.whole("acme"), request)
    return {view.message.message_id: view.message for view in answer.messages}


def a_life() -> Life:
    """Ann's conversation, in which Carl takes part."""
    life = Life("ann")
    life.opened("email")
    said(life, "m1", "our order", to=["help@acme.example"], cc=["carl@b.example", "dora@b.example"])
    said(life, "m2", "I decide", author_id="carl-id", participant=True, to=["help@acme.example"])
    return life


async def test_recipients_and_participants_are_read_back(database: Database) -> None:
    await fold(database, as_records(a_life().log))
    found = await messages(database, "ann-c")
    assert (list(found["m1"].to), list(found["m1"].cc)) == (["help@acme.example"], ["carl@b.example", "dora@b.example"])
    assert [found[each].participant for each in ("m1", "m2")] == [False, True]
    assert found["m2"].author_id == "carl-id"


async def test_an_erasure_of_the_customer_empties_the_recipients(database: Database) -> None:
    life = a_life()
    life.conversation(erased=records_pb2.ConversationErased(request_id="e"))
    await fold(database, as_records(life.log))
    for message in (await messages(database, "ann-c")).values():
        assert (message.text, list(message.to), list(message.cc)) == ("", [], [])


@pytest.mark.parametrize("batch", [1, 100])
async def test_an_erasure_of_a_participant_empties_their_messages_only(database: Database, batch: int) -> None:
    """Whether the erasure is folded with the messages or later."""
    life = a_life()
    theirs = Life("carl", identity="carl-id", at=life.at)
    theirs.opened("email")
    theirs.conversation(erased=records_pb2.ConversationErased(request_id="e"))
    await fold(database, as_records([*life.log, *theirs.log]), batch)
    found = await messages(database, "ann-c")
    assert (found["m1"].text, found["m2"].text) == ("our order", "")
    assert list(found["m1"].cc) == ["carl@b.example", "dora@b.example"]
