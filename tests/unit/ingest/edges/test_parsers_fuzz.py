"""Any input gives messages or typed refusals, never an exception, and never text that can't be stored."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest.domain.normalise.language import detect
from services.ingest.domain.normalise.mail.mail import parse_mail
from services.ingest.domain.normalise.message import IncomingMessage, Parsed, Refusal
from services.ingest.domain.normalise.telegram import parse_update
from services.ingest.domain.normalise.webchat import parse_frame
from services.ingest.domain.normalise.webhook import parse_call
from services.ingest.domain.normalise.whatsapp import parse_notification
from services.ingest.ports import Account
from services.ingest.translate.edges import inbound_record

ACCOUNT = Account("demo", "telegram", "main", {}, {}, "fa")
PARSERS: list[Callable[[bytes], Parsed]] = [parse_update, parse_notification, parse_call]
FAST = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])

KEYS = [
    "update_id",
    "message",
    "edited_message",
    "callback_query",
    "my_chat_member",
    "chat",
    "from",
    "id",
    "text",
    "date",
    "message_id",
    "entry",
    "changes",
    "value",
    "messages",
    "statuses",
    "contacts",
    "wa_id",
    "user_id",
    "type",
    "body",
    "metadata",
    "phone_number_id",
    "timestamp",
    "context",
    "image",
    "caption",
    "customer",
    "name",
    "labels",
    "sent_at",
    "left",
    "language",
    "location",
    "latitude",
    "longitude",
    "document",
    "file_id",
    "file_size",
    "new_chat_member",
    "status",
    "data",
    "edit",
    "original_message_id",
    "reaction",
    "emoji",
    "photo",
    "edit_date",
]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
    | st.sampled_from(["text", "private", "edit", "1700000000", "2026-01-01T00:00:00Z", "a\x00b", "\ud800"])
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=30,
)


def check(parsed: Parsed) -> None:
    """Check that each message can become a record."""
    assert isinstance(parsed, Parsed)
    assert parsed.messages or parsed.refused or parsed.ignored or parsed == Parsed()
    for message in parsed.messages:
        record = inbound_record(ACCOUNT, message, 1)
        assert record.SerializeToString()
        assert "\x00" not in record.message.text


@FAST
@given(st.binary(max_size=400))
def test_any_bytes(raw: bytes) -> None:
    """Bytes that are not JSON are refused by every parser."""
    for parse in PARSERS:
        check(parse(raw))
    assert isinstance(parse_frame(raw), Refusal)


@FAST
@given(TREES)
def test_any_json_of_the_providers_words(tree: Any) -> None:
    """JSON made of the words that providers use, in every wrong place and with every wrong type."""
    raw = json.dumps(tree).encode()
    for parse in PARSERS:
        check(parse(raw))
    for wrapped in (
        {"update_id": 1, "message": tree},
        {"update_id": 1, "callback_query": tree},
        {"entry": [{"changes": [{"value": tree}]}]},
        {"entry": [{"changes": [{"value": {"messages": [tree, tree]}}]}]},
    ):
        for parse in PARSERS:
            check(parse(json.dumps(wrapped).encode()))
    frame = parse_frame(raw)
    assert frame is not None


@pytest.mark.parametrize("depth", [65, 2_000, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_a_refusal_whatever_the_depth(depth: int, opening: str, closing: str) -> None:
    """Never a RecursionError."""
    raw = ('{"update_id":1,"message":' + opening * depth + "1" + closing * depth + "}").encode()
    for parse in PARSERS:
        (refusal,) = parse(raw).refused
        assert refusal.reason in ("TOO_DEEP", "TOO_MANY_ITEMS")


HEADER = st.sampled_from(
    [
        "From",
        "Subject",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Message-ID",
        "References",
        "Reply-To",
        "List-Id",
        "X",
    ]
)
PIECES = st.text(max_size=60) | st.sampled_from(
    [
        'multipart/mixed; boundary="b"', "text/plain; charset=punycode", "text/html; charset=cp1256", "base64", "quoted-printable",
        "=?utf-8?b?2LPZhNin2YU=?=", "=?x?q?=ff?=", "<a@b.example>", '"' * 500, "(" * 500, "message/rfc822", "<" * 300, "@" * 300,
        "multipart/alternative; boundary=" + "x" * 300, "a@b, c@d", "text/plain; charset=" + "z" * 300,
    ]
)  # fmt: skip


@FAST
@given(
    st.lists(st.tuples(HEADER, PIECES), max_size=8),
    st.lists(PIECES | st.sampled_from(["--b", "--b--", ""]), max_size=12),
)
def test_any_mail_is_taken(headers: list[tuple[str, str]], body: list[str]) -> None:
    """An authentic mail is never refused: it is parsed completely, or kept raw and labelled."""
    raw = "\r\n".join([*(f"{name}: {value}" for name, value in headers), "", *body]).encode("utf-8", "surrogatepass")
    message = parse_mail(raw, "x@y.example", "support@demo.example", lambda _: None)
    assert isinstance(message, IncomingMessage)
    record = inbound_record(ACCOUNT, message, 1)
    assert record.SerializeToString()
    assert ("unparsed" in message.labels) == bool(message.raw)


@FAST
@given(st.binary(max_size=1000))
def test_any_bytes_as_mail(raw: bytes) -> None:
    """Also bytes that are not a mail."""
    assert inbound_record(ACCOUNT, parse_mail(raw, "", "support@demo.example", lambda _: None), 1).SerializeToString()


@FAST
@given(st.text(max_size=200))
def test_any_text_has_a_language(text: str) -> None:
    """Or "und"; never an exception."""
    assert detect(text)
    assert detect(text, "fa")


CORPUS = Path(__file__).resolve().parents[3] / "fuzz/corpus/documents"
LONE = "profile\ud83e"
"""A key as long as a real one, with a lone surrogate: JSON can write it, UTF-8 cannot."""


def with_lone_key(value: Any) -> Iterator[Any]:
    """Yield the document once for each of its objects, with the key added to that object."""
    if isinstance(value, dict):
        yield {**value, LONE: {}}
        for key, child in value.items():
            yield from ({**value, key: other} for other in with_lone_key(child))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in with_lone_key(child))


@pytest.mark.parametrize("name", ["telegram", "whatsapp", "webhook", "say"])
def test_a_lone_surrogate_in_any_key_is_an_answer_or_a_refusal(name: str) -> None:
    """The key is in each object of a real document in turn."""
    documents = list(with_lone_key(json.loads((CORPUS / name).read_bytes())))
    assert documents
    for document in documents:
        raw = json.dumps(document).encode()
        for parse in PARSERS:
            assert isinstance(parse(raw), Parsed)
        parse_frame(raw)


def test_a_contact_card_with_a_lone_surrogate_loses_no_message() -> None:
    """The card is left out; the messages of the same notification are taken."""
    document = json.loads((CORPUS / "whatsapp").read_bytes())
    plain = parse_notification(json.dumps(document).encode())
    document["entry"][0]["changes"][0]["value"]["contacts"][0][LONE] = {}
    odd = parse_notification(json.dumps(document).encode())
    assert [message.text for message in odd.messages] == [message.text for message in plain.messages] != []
