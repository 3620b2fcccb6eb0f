"""GetConversation shows what later messages say about a message, on SQLite and on PostgreSQL."""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.kafka.records import Record
from services.ingest.adapters.history.database import Database
from services.ingest.domain.reach import Reach
from tests.contract.history.records import T0, Life, as_records
from tests.contract.history.tables_as_data import everything
from tests.contract.history.test_rows import fold, reader_of

REACTION = records_pb2.MESSAGE_KIND_REACTION


def said(life: Life, message_id: str, text: str, **fields: Any) -> int:
    """Add a customer's message; returns its time, ms."""
    message = records_pb2.ConversationMessage(
        message_id=message_id,
        author_kind=types_pb2.ACTOR_KIND_CUSTOMER,
        text=text,
        **{"native_message_id": f"native-{message_id}", "author_id": life.identity_id, **fields},
    )
    life.conversation(message=message)
    return life.at


def a_life() -> tuple[Life, dict[str, int]]:
    """A conversation in which every kind of mark is made, and the times of the marks."""
    life = Life()
    life.opened()
    said(life, "m1", "helo")
    said(life, "m2", "delete me")
    life.said("hi", message_id="ours", agent="sara")  # native-message-4
    times = {
        "edit": said(life, "e1", "hello", edits_message_id="m1", native_message_id="native-m1"),
        "deletion": said(life, "d1", "", deletes_message_id="m2", kind=records_pb2.MESSAGE_KIND_SYSTEM),
    }
    said(life, "r1", "👍", kind=REACTION, in_reply_to="native-message-3", content="reaction")
    times["reaction"] = said(life, "r2", "❤ 🔥", kind=REACTION, in_reply_to="native-message-3")
    said(life, "r3", "👎", kind=REACTION, in_reply_to="native-m1")
    said(life, "r4", "", kind=REACTION, in_reply_to="native-m1")
    said(life, "m3", "this one", in_reply_to="native-m1")
    said(life, "m4", "sent something", content="hologram", placeholder=True)
    return life, times


async def shown(database: Database) -> dict[str, ingest_pb2.MessageView]:
    """The conversation's messages by id."""
    request = ingest_pb2.GetConversationRequest(conversation_id="one-c")
    answer = await reader_of(database).conversation(Reach.whole("acme"), request)
    return {view.message.message_id: view for view in answer.messages}


def ms(time: Timestamp) -> int:
    return time.ToMilliseconds()


async def test_marks_are_on_the_message_and_the_message_remains(database: Database) -> None:
    """Edited, deleted, reacted to, answered: the text is still there, and so is what was said later."""
    life, times = a_life()
    await fold(database, as_records(life.log))
    views = await shown(database)
    assert ms(views["m1"].edited_at) == times["edit"]
    assert (views["m1"].message.text, views["e1"].message.text) == ("helo", "hello")
    assert ms(views["m2"].deleted_at) == times["deletion"]
    assert views["m2"].message.text == "delete me"
    (reaction,) = views["ours"].reactions
    assert (reaction.emoji, reaction.identity_id) == ("❤ 🔥", "one-id")
    assert ms(reaction.occurred_at) == times["reaction"]
    assert not views["m1"].reactions  # withdrawn
    assert views["m3"].in_reply_to_message_id == "m1"
    assert views["r1"].in_reply_to_message_id == "ours"
    for name, view in views.items():
        assert view.HasField("edited_at") == (name == "m1")
        assert view.HasField("deleted_at") == (name == "m2")
    said_last = views["m4"].message
    assert (said_last.content, said_last.placeholder, said_last.kind) == ("hologram", True, 0)
    assert views["r2"].message.kind == REACTION


async def test_a_mark_is_shown_on_another_page_than_what_makes_it(database: Database) -> None:
    """The page of the message has the mark, although the edit is on a later page."""
    life, times = a_life()
    await fold(database, as_records(life.log))
    request = ingest_pb2.GetConversationRequest(conversation_id="one-c", page=types_pb2.PageRequest(size=1))
    answer = await reader_of(database).conversation(Reach.whole("acme"), request)
    (view,) = answer.messages
    assert ms(view.edited_at) == times["edit"]


async def test_an_edit_in_a_later_conversation_marks_the_message(database: Database) -> None:
    """An edit or a deletion that comes late is recorded in a later conversation; another tenant's marks nothing."""
    life, later, stranger = Life(), Life("two"), Life(tenant="other", at=T0 + 1_000_000)
    life.opened()
    said(life, "m1", "helo")
    later.opened()
    edit = said(later, "e1", "hello", edits_message_id="m1")
    deletion = said(later, "d1", "", deletes_message_id="m1")
    stranger.opened()
    said(stranger, "e2", "evil", edits_message_id="m1")
    log = [*life.log, *later.log]
    await fold(database, as_records(log))
    (view,) = (await shown(database)).values()
    assert (ms(view.edited_at), ms(view.deleted_at), view.message.text) == (edit, deletion, "helo")
    foreign = [Record(r.topic, 1, r.offset, 0, r.key, r.value, ()) for r in as_records(stranger.log)]
    await fold(database, foreign)
    (view,) = (await shown(database)).values()
    assert ms(view.edited_at) == edit


async def test_an_erasure_leaves_no_reaction_and_no_native_id(database: Database) -> None:
    """Ids and times of edits and deletions remain."""
    life, _ = a_life()
    await fold(database, as_records(life.log))
    life.erased()
    await fold(database, as_records(life.log))
    left = str(await everything(database))
    for personal in ("native-", "👍", "❤", "hello"):
        assert personal not in left
    views = await shown(database)
    assert not any(view.reactions for view in views.values())
    assert views["m1"].HasField("edited_at")


async def test_the_story_says_what_happened(database: Database) -> None:
    """Edits, deletions and reactions have kinds of their own, with ids only."""
    life = Life()
    life.opened()
    life.began()
    for name, fields in (
        ("m1", {}),
        ("e1", {"edits_message_id": "m1"}),
        ("d1", {"deletes_message_id": "m1"}),
        ("r1", {"kind": REACTION, "content": "reaction"}),
    ):
        said(life, name, "x", interaction_id="one-i", **fields)
    await fold(database, as_records(life.log))
    answer = await reader_of(database).interaction(Reach.whole("acme"), "one-i")
    assert [step.kind for step in answer.story][1:] == [
        "MessageReceived",
        "MessageEdited",
        "MessageDeleted",
        "ReactionReceived",
    ]
    assert answer.story[3].details["deletes"] == "m1"
    assert answer.story[4].details["content"] == "reaction"
