"""What the desk in the terminal shows of each kind of message."""

from typing import Any

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2
from services.cli.message_lines import MessageLines, file_line

REACTION = records_pb2.MESSAGE_KIND_REACTION


def a_message(text: str, message_id: str = "m1", **fields: Any) -> records_pb2.ConversationMessage:
    """A customer's message."""
    return records_pb2.ConversationMessage(
        author_kind=types_pb2.ACTOR_KIND_CUSTOMER,
        text=text,
        message_id=message_id,
        **{"native_message_id": f"native-{message_id}", **fields},
    )


def test_each_kind_has_its_line() -> None:
    """The line names what the message is about, in the text that was shown last."""
    lines = MessageLines()
    assert lines.line(a_message("helo")) == "customer: helo"
    edit = a_message("hello", "e1", edits_message_id="m1", native_message_id="native-m1")
    assert lines.line(a_message("pills", "b1", blocked=True)) == "customer (blocked, not routed): pills"
    assert lines.line(edit) == 'customer edits "helo": hello'
    reaction = a_message("👍", "r1", kind=REACTION, in_reply_to="native-m1", content="reaction")
    assert lines.line(reaction) == 'customer reacts with 👍 to "hello"'
    removed = a_message("", "r2", kind=REACTION, in_reply_to="native-m1", content="reaction")
    assert lines.line(removed) == 'customer takes the reaction to "hello" back'
    assert lines.line(a_message("", "d1", deletes_message_id="m1")) == 'customer deletes "hello"'
    assert lines.line(a_message("", "d2", deletes_message_id="m0")) == "customer deletes an earlier message"
    assert lines.line(a_message("this", "m2", in_reply_to="native-m1")) == 'customer to "hello": this'
    assert lines.line(a_message("this", "m3", in_reply_to="unknown")) == "customer: this"
    assert lines.line(a_message("35.5,51.25", "m4", content="location")) == "customer (location): 35.5,51.25"
    hidden = a_message("sent something that can't be shown here: poll", "m5", content="poll", placeholder=True)
    assert lines.line(hidden) == "customer: sent something that can't be shown here: poll"
    voice = a_message("", "m6", content="voice", attachments=[records_pb2.Attachment(content_type="audio/ogg")])
    assert lines.line(voice) == "customer (voice): [audio/ogg]"


def test_only_the_newest_texts_are_remembered() -> None:
    """A long conversation does not fill the memory of the desk."""
    lines = MessageLines()
    for number in range(600):
        lines.line(a_message("x" * 100, f"n{number}"))
    assert lines.line(a_message("", "d1", deletes_message_id="n0")) == "customer deletes an earlier message"
    assert lines.line(a_message("", "d2", deletes_message_id="n599")) == f'customer deletes "{"x" * 60}…"'


def test_a_file_is_shown_with_its_type_and_size() -> None:
    """A file that can't be downloaded says why."""
    stored = records_pb2.Attachment(
        name="invoice.pdf", content_type="application/pdf", size=12_000, state=records_pb2.ATTACHMENT_STATE_STORED
    )
    refused = records_pb2.Attachment(
        name="run.exe",
        size=3,
        state=records_pb2.ATTACHMENT_STATE_REFUSED,
        refusal=records_pb2.ATTACHMENT_REFUSAL_TYPE_NOT_ALLOWED,
    )
    later = records_pb2.Attachment(content_type="image/jpeg", state=records_pb2.ATTACHMENT_STATE_TO_FETCH)
    assert [file_line(each) for each in (stored, refused, later, records_pb2.Attachment())] == [
        "invoice.pdf (application/pdf, 12 KB)",
        "run.exe (1 KB, not kept: type not allowed)",
        "image/jpeg (not fetched yet)",
        "file",
    ]
