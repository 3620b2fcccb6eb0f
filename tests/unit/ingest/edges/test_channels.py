"""The messages parsed from particular calls."""

import json
from typing import Any

import pytest

from services.chassis.pacing import Rate
from services.ingest.domain.limits import Limiter
from services.ingest.domain.normalise.language import detect
from services.ingest.domain.normalise.message import MessageKind
from services.ingest.domain.normalise.telegram import parse_update
from services.ingest.domain.normalise.text import clean_name
from services.ingest.domain.normalise.webhook import parse_call
from services.ingest.domain.normalise.whatsapp import parse_notification

GOOD: dict[str, Any] = {"message_id": "m", "customer": {"id": "c"}, "text": "hello"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"message_id":"m","customer":{"id":"c"},"text":"a\\u0000b"}', "NUL_IN_TEXT"),
        (b'{"message_id":"m","customer":{"id":"c"},"text":"a\\uD83Db"}', "LONE_SURROGATE"),
        (b'{"message_id":"m","customer":{"id":"c\\udc00"},"text":"x"}', "LONE_SURROGATE"),
        (b'{"message_id":"m","customer":{"id":"c"},"text":"x","labels":{"\\u0000":"y"}}', "NUL_IN_TEXT"),
    ],
)
def test_text_that_can_not_be_stored_is_refused_by_field(raw: bytes, reason: str) -> None:
    """However the character is escaped, and wherever it is."""
    (refusal,) = parse_call(raw).refused
    assert refusal.reason == reason


def test_surrogate_pairs_and_escaped_backslashes_are_accepted() -> None:
    r"""An emoji is two surrogates that belong together; the text `\u0000` is six characters."""
    assert parse_call(b'{"message_id":"m","customer":{"id":"c"},"text":"\\ud83d\\ude00"}').messages[0].text == "😀"
    assert parse_call(b'{"message_id":"m","customer":{"id":"c"},"text":"\\\\u0000"}').messages[0].text == "\\u0000"


def test_text_is_kept_whole_and_names_are_cleaned() -> None:
    """Arabic yeh, ZWNJ and spaces remain in texts; bidi overrides and control characters are removed from names."""
    text = "  می\u200cخواهم كيبورد ي  "
    body = {**GOOD, "text": text, "customer": {"id": "c", "name": "\u202eevil\u2066 na\x07me\n"}}
    (message,) = parse_call(json.dumps(body).encode()).messages
    assert message.text == text
    assert message.display_name == "evil na me"
    assert clean_name("می\u200cنا") == "می\u200cنا"


@pytest.mark.parametrize(
    ("text", "fallback", "language"),
    [
        ("سلام، سفارش من هنوز نرسیده است", "", "fa"),
        ("Where is my order? It is late.", "fa", "en"),
        ("ok", "fa", "en"),
        ("چی", "en", "fa"),
        ("ببين", "fa", "fa"),
        ("123", "fa", "fa"),
        ("", "", "und"),
        ("😀", "", "und"),
        ("salam", "", "fa"),
        ("Salam!", "en", "fa"),
        ("salam, sefaresham kojast?", "fa", "fa"),
        ("man hanooz montazeram, pool ro nemidid?", "fa", "fa"),
        ("salam", "ar", "en"),
        ("Salam to all of you, my order is late", "fa", "en"),
        ("be in the pool, man", "fa", "en"),
        ("أريد المساعدة في طلبي من فضلك", "fa", "ar"),
    ],
)
def test_languages(text: str, fallback: str, language: str) -> None:
    """Long text: the detector decides. Short text: the script, and the conversation's own language."""
    assert detect(text, fallback) == language


def test_whatsapp_kinds() -> None:
    """Reaction, its removal, button, image, edit and revoke are each recognised; an unknown type is a placeholder."""
    base = {"from": "98912", "timestamp": "1700000000"}
    messages = [
        {**base, "id": "1", "type": "reaction", "reaction": {"message_id": "w0", "emoji": "👍"}},
        {**base, "id": "2", "type": "reaction", "reaction": {"message_id": "w0"}},
        {**base, "id": "3", "type": "interactive", "interactive": {"button_reply": {"id": "b", "title": "بله"}}},
        {**base, "id": "4", "type": "image", "image": {"id": "media", "mime_type": "image/png", "caption": "c"}},
        {
            **base,
            "id": "5",
            "type": "edit",
            "edit": {"original_message_id": "w0", "message": {"text": {"body": "new"}}},
        },
        {**base, "id": "6", "type": "revoke", "revoke": {"original_message_id": "w0"}},
        {**base, "id": "7", "type": "hologram"},
        {"user_id": "u-1", "id": "8", "type": "text", "text": {"body": "no phone"}, "context": {"id": "w0"}},
    ]
    raw = json.dumps({"entry": [{"changes": [{"value": {"messages": messages}}]}]}).encode()
    parsed = parse_notification(raw)
    kinds = [each.kind for each in parsed.messages]
    assert kinds == [
        MessageKind.REACTION,
        MessageKind.REACTION,
        MessageKind.BUTTON,
        MessageKind.ATTACHMENT,
        MessageKind.TEXT,
        MessageKind.SYSTEM,
        MessageKind.TEXT,
        MessageKind.TEXT,
    ]
    assert parsed.messages[1].labels == {"event": "reaction_removed"}
    assert (parsed.messages[4].native_message_id, parsed.messages[4].revision > 0) == ("w0", True)
    assert (parsed.messages[6].content, parsed.messages[6].placeholder) == ("hologram", True)
    assert (parsed.messages[7].native_id, parsed.messages[7].in_reply_to) == ("u-1", "w0")
    assert parsed.ignored == ()


def test_telegram_blocking_is_reachability() -> None:
    """A blocked bot gives a system message with a label, which is never answered."""
    update = {
        "update_id": 5,
        "my_chat_member": {
            "chat": {"id": 1, "type": "private"},
            "from": {"id": 1},
            "date": 1,
            "new_chat_member": {"status": "kicked"},
        },
    }
    (message,) = parse_update(json.dumps(update).encode()).messages
    assert (message.kind, message.labels, message.no_auto_reply) == (
        MessageKind.SYSTEM,
        {"reachability": "blocked"},
        True,
    )


def test_telegram_forum_topics_and_buttons() -> None:
    """The topic is needed for an answer; a button names the message that it belongs to."""
    chat = {"id": -100, "type": "supergroup"}
    update = {
        "update_id": 1,
        "callback_query": {
            "id": "q",
            "from": {"id": 9},
            "data": "yes",
            "message": {"message_id": 3, "chat": chat, "message_thread_id": 12},
        },
    }
    (message,) = parse_update(json.dumps(update).encode()).messages
    assert (message.native_id, message.text, message.kind) == ("9", "yes", MessageKind.BUTTON)
    assert message.reply_context == {
        "chat_id": "-100",
        "message_id": "3",
        "message_thread_id": "12",
        "callback_query_id": "q",
    }
    assert message.in_reply_to == "-100:3"


def test_buckets_refill_and_forget() -> None:
    """A burst, then a rate; a refused key gets its wait; memory is bounded."""
    limiter = Limiter(Rate(1, 2), max_keys=2)
    assert [limiter.take("a", 0) for _ in range(3)] == [0, 0, 1]
    assert limiter.take("a", 1000) == 0
    limiter.take("b", 1000)
    limiter.take("c", 1000)
    assert limiter.take("a", 1000) == 0  # forgotten: a full bucket again
    assert Limiter(Rate(0, 1)).take("x", 0, 1e9) == 0
