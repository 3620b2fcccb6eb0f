"""A field of an unexpected type in an authentic call costs nothing but that field.

Each field of each example is replaced by each JSON type, and is removed. Nothing raises and nothing vanishes: what was a
message is a message, and it is kept raw unless the change made no difference.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from services.ingest.domain.normalise.message import Parsed
from services.ingest.domain.normalise.telegram import parse_update
from services.ingest.domain.normalise.whatsapp import parse_notification
from services.ingest.ports import Account
from services.ingest.translate.edges import inbound_record
from tests.unit.ingest.edges.provider_calls import CHAT, TELEGRAM, WHATSAPP, as_bytes, telegram, whatsapp

ACCOUNT = Account("demo", "telegram", "main", {}, {}, "fa")
OTHERS: tuple[Any, ...] = (None, True, 5, -2.5, "", "x", [], [{}], {}, {"a": 1}, "a\x00b", 10**40)
NOT_MESSAGES = frozenset({"is_bot", "sender_chat", "is_automatic_forward", "direction", "phone_number_id"})
"""Fields whose other value truly says that no customer of ours wrote."""


def changed(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield the document once for each of its fields and each other value, with the path of the field."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        for other in OTHERS:
            yield (*path, key), _with(value, key, other)
        for below, inner in changed(child, (*path, key)):
            yield below, _with(value, key, inner)


def _with(value: Any, key: Any, other: Any) -> Any:
    if isinstance(value, dict):
        return {**value, key: other}
    return [*value[:key], other, *value[key + 1 :]]


def result(channel: str, call: Any) -> Parsed:
    raw = json.dumps(call).encode()
    return parse_update(raw) if channel == "telegram" else parse_notification(raw, "")


def check(parsed: Parsed) -> None:
    for message in parsed.messages:
        record = inbound_record(ACCOUNT, message, 1)
        assert record.SerializeToString()
        assert message.native_id
        assert message.native_message_id
        assert "\x00" not in record.message.text
        assert bool(record.message.placeholder) == message.placeholder


@pytest.mark.parametrize(
    ("channel", "name"), [*(("telegram", name) for name in TELEGRAM), *(("whatsapp", name) for name in WHATSAPP)]
)
def test_nothing_raises_and_nothing_vanishes(channel: str, name: str) -> None:
    """Every mutated call still gives a message, and none is refused."""
    example = (TELEGRAM if channel == "telegram" else WHATSAPP)[name]
    count = 0
    for path, call in changed(example):
        parsed = result(channel, call)
        check(parsed)
        assert not parsed.refused, (path, call)
        assert parsed.messages or parsed.ignored, (path, call)
        if not NOT_MESSAGES.intersection(map(str, path)):
            assert parsed.messages or _says_so(path, call), (path, call)
        count += 1
    assert count > 50


def _says_so(path: tuple[str | int, ...], call: Any) -> bool:
    """Return whether the call with this change is a valid one that says that there is nothing of a customer in it."""
    if path[-1] == "type" and "chat" in path and "my_chat_member" in path:
        return True  # a membership of a group
    if path[-1] in ("messages", "calls"):
        return bool(_at(call, path) == [])
    if path[-1] == "id" and "business_connection_id" in json.dumps(call):
        return True  # another author than the customer of the chat: the owner of the business account
    if path[-1] == "entry":
        return bool(_at(call, path) == [])
    return path[-1] in ("changes", "calls") and not _at(call, path)


def _at(call: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        call = call[key]
    return call


def test_the_rest_of_the_message_arrives() -> None:
    """The words reach the agent although another field can't be read, and the raw message is kept."""
    call = telegram(text="where is my order?", photo=5, entities="none")
    (message,) = parse_update(as_bytes(call)).messages
    assert (message.text, message.native_id) == ("where is my order?", "7")
    assert json.loads(message.raw)["photo"] == 5
    photo = telegram(caption="look", photo=[{"file_id": "f"}], date="yesterday", venue=[])
    (message,) = parse_update(as_bytes(photo)).messages
    assert (message.text, [file.reference for file in message.attachments], message.content) == ("look", ["f"], "photo")
    odd = whatsapp({"type": "text", "text": {"body": "where is it?"}, "context": "w", "timestamp": 17})
    (message,) = parse_notification(as_bytes(odd)).messages
    assert (message.text, message.native_id, bool(message.raw)) == ("where is it?", "98912", True)


def test_ids_as_text_are_ids() -> None:
    """Some bridges write numbers as text."""
    call = telegram(text="hi", chat={**CHAT, "id": "7"})
    (message,) = parse_update(as_bytes(call)).messages
    assert message.reply_context["chat_id"] == "7"


def test_characters_that_can_not_be_stored_are_replaced() -> None:
    """NUL and half characters become U+FFFD; the message is kept raw."""
    raw = as_bytes(telegram(text="a\x00b")).replace(b"Sara", b"Sa\\ud800ra")
    (message,) = parse_update(raw).messages
    assert (message.text, bool(message.raw)) == ("a\ufffdb", True)


def test_a_message_without_a_readable_sender_is_not_another_customers() -> None:
    """It has an identity of its own, the same at a retry, and gets no automatic answer."""
    first, second = (whatsapp({"from": 5, "id": name, "type": "text", "text": {"body": name}}) for name in ("a", "b"))
    for call in (first, second):
        call["entry"][0]["changes"][0]["value"]["contacts"] = 5
    (one,), (other,) = parse_notification(as_bytes(first)).messages, parse_notification(as_bytes(second)).messages
    assert one.native_id.startswith("unidentified:")
    assert one.native_id != other.native_id
    assert (one.text, one.no_auto_reply, one.verified) == ("a", True, False)
    assert parse_notification(as_bytes(first)).messages == (one,)


def test_a_call_of_another_form_is_kept_once() -> None:
    """Whatever is around the messages: one raw message, and the readable ones beside it."""
    good = whatsapp({"type": "text", "text": {"body": "hi"}})
    call = {"entry": [5, *good["entry"], {"changes": [7, 8]}]}
    found = parse_notification(as_bytes(call)).messages
    assert [message.text for message in found] == ["hi", ""]
    assert json.loads(found[-1].raw) == call
