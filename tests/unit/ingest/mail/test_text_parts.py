"""The parts of a mail's text reach intake, the conversation and the desk; surveys and language see the new text only."""

import pytest

from chapar.ingest.v1 import records_pb2
from services.cli.folding import folded
from services.ingest.domain.messages import TextPart, TextPartKind, new_text
from services.ingest.domain.normalise.mail.mail import read_mail
from services.ingest.ports import Account
from services.ingest.translate.edges import inbound_record
from services.ingest.translate.lanes import customer_message, message
from services.ingest.translate.text_parts import text_parts

ACCOUNT = Account(tenant="t", channel="email", account="s", default_language="fa", settings={}, secrets={})
QUOTE = "".join(f"> The parcel number {n} has left our store in the morning and will arrive soon.\n" for n in range(20))
MAIL = f"سلام، بسته هنوز نرسیده.\n\nدر تاریخ ۲ آذر ۱۴۰۵ ساعت ۱۰:۲۲ Shop <s@shop.example> نوشت:\n\n{QUOTE}"


def record_of(text: str) -> records_pb2.CustomerMessage:
    raw = f"From: a@b.example\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}".encode()
    return inbound_record(ACCOUNT, read_mail(raw, "a@b.example", "s@d.example"), 1).message


def test_the_language_is_that_of_the_new_text() -> None:
    """A Persian answer above a long English quote is Persian."""
    assert record_of(MAIL).language == "fa"
    assert read_mail(f"From: a@b.example\r\n\r\n{MAIL}".encode(), "a@b.example", "s@d.example").language == "fa"


def test_the_parts_reach_the_conversation() -> None:
    """The record of the edge, intake's message and the conversation's message have the same parts, which cover the text."""
    record = record_of(MAIL)
    assert [TextPartKind(part.kind) for part in record.text_parts] == [TextPartKind.NEW, TextPartKind.QUOTED]
    assert sum(part.length for part in record.text_parts) == len(record.text)
    kept = message(record)
    assert new_text(kept.text, kept.text_parts) == "سلام، بسته هنوز نرسیده."
    assert list(customer_message(kept, "i", "").text_parts) == list(record.text_parts)


def test_a_mail_without_folds_has_no_parts() -> None:
    """Nothing is written for a mail that is new as a whole."""
    assert not record_of("cancel it").text_parts


def test_a_kind_of_a_newer_version_is_folded() -> None:
    """An unknown kind is not new, and does not refuse the message."""
    newer = records_pb2.TextPartKind.ValueType(99)
    new = records_pb2.TEXT_PART_KIND_NEW
    parts = text_parts([records_pb2.TextPart(kind=new, length=2), records_pb2.TextPart(kind=newer, length=3)])
    assert new_text("hi abc", parts) == "hi"


@pytest.mark.parametrize(
    ("kinds", "shown"),
    [
        ((), ("new\nold\n-- me", "")),
        (((1, 4), (2, 4), (4, 5)), ("new", "quoted 1 line, signature 1 line")),
        (((2, 13),), ("new\nold\n-- me", "")),
        (((1, 4), (9, 9)), ("new", "other 2 lines")),
    ],
)
def test_the_desk_shows_the_new_text(kinds: tuple[tuple[int, int], ...], shown: tuple[str, str]) -> None:
    """The desk shows the new text and names what is folded; without new text it shows everything."""
    said = records_pb2.ConversationMessage(text="new\nold\n-- me")
    for kind, length in kinds:
        said.text_parts.add(kind=kind, length=length)
    assert folded(said) == shown


def test_new_text_of_parts() -> None:
    """The new parts are joined by a blank line; without parts the whole text is new."""
    parts = tuple(TextPart(kind, 2) for kind in (TextPartKind.NEW, TextPartKind.QUOTED, TextPartKind.NEW))
    assert new_text("a\nb\nc\n", parts) == "a\n\nc"
    assert new_text(" a ", ()) == " a "
