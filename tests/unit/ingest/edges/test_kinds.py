"""Every kind of message that Telegram and WhatsApp carry has a meaning, or a placeholder that names it."""

from typing import Any

import pytest

from chapar.ingest.v1 import records_pb2
from services.ingest.domain.normalise.message import IncomingMessage, MessageKind, Parsed
from services.ingest.domain.normalise.telegram import parse_update
from services.ingest.domain.normalise.whatsapp import parse_notification
from services.ingest.ports import Account
from services.ingest.translate.edges import inbound_record
from services.policy.model.groups import GroupPolicy
from tests.unit.ingest.edges.provider_calls import (
    CHAT,
    FILE,
    GROUP,
    TELEGRAM,
    USER,
    WHATSAPP,
    as_bytes,
    telegram,
    whatsapp,
)

TEXT, FILES, REACTION = MessageKind.TEXT, MessageKind.ATTACHMENT, MessageKind.REACTION
BUTTON, SYSTEM = MessageKind.BUTTON, MessageKind.SYSTEM

MEANINGS: list[tuple[str, str, MessageKind, str, str]] = [
    ("telegram", "text", TEXT, "سلام", ""),
    ("telegram", "photo", FILES, "my order", "photo"),
    ("telegram", "voice", FILES, "", "voice"),
    ("telegram", "video_note", FILES, "", "video_note"),
    ("telegram", "animation", FILES, "", "animation"),
    ("telegram", "sticker", FILES, "😀", "sticker"),
    ("telegram", "location", TEXT, "35.5,51.25", "location"),
    ("telegram", "venue", TEXT, "35.5,51.25 Cafe Valiasr", "venue"),
    ("telegram", "contact", TEXT, "Ali +98912", "contact"),
    ("telegram", "poll", TEXT, "When?\n- now", "poll"),
    ("telegram", "checklist", TEXT, "To do\n- call me", "checklist"),
    ("telegram", "dice", TEXT, "🎲 4", "dice"),
    ("telegram", "paid_media with a caption", TEXT, "look", "paid_media"),
    ("telegram", "web_app_data", TEXT, 'Order\n{"size":"XL"}', "web_app_data"),
    ("telegram", "successful_payment", TEXT, "12.50 USD order-3", "successful_payment"),
    ("telegram", "pinned_message", SYSTEM, "", "pinned_message"),
    ("telegram", "new_chat_members", SYSTEM, "", "new_chat_members"),
    ("telegram", "quote", TEXT, "this one", ""),
    ("telegram", "edited_message", TEXT, "corrected", ""),
    ("telegram", "edited caption", FILES, "corrected", "photo"),
    ("telegram", "business_message", TEXT, "hello", ""),
    ("telegram", "edited_business_message", TEXT, "hello!", ""),
    ("telegram", "message_reaction", REACTION, "👍 paid", "reaction"),
    ("telegram", "callback_query", BUTTON, "yes", "button"),
    ("telegram", "poll_answer", SYSTEM, "1, 3", "poll_answer"),
    ("telegram", "my_chat_member", SYSTEM, "", ""),
    ("whatsapp", "text", TEXT, "سلام", ""),
    ("whatsapp", "image", FILES, "my order", "image"),
    ("whatsapp", "voice", FILES, "", "voice"),
    ("whatsapp", "document", FILES, "", "document"),
    ("whatsapp", "sticker", FILES, "", "sticker"),
    ("whatsapp", "location", TEXT, "35.5,51.25 Cafe Valiasr", "location"),
    ("whatsapp", "contacts", TEXT, "Ali R +98 912 ali@a.example", "contacts"),
    ("whatsapp", "order", TEXT, "please pack it\n2 × tea 4.5 USD", "order"),
    ("whatsapp", "button", BUTTON, "Yes", "button"),
    ("whatsapp", "list_reply", BUTTON, "Refund", "button"),
    ("whatsapp", "nfm_reply", TEXT, "Sent\nsize: XL\ncolours: red, blue", "nfm_reply"),
    ("whatsapp", "reaction", REACTION, "👍", "reaction"),
    ("whatsapp", "reaction removed", REACTION, "", "reaction"),
    ("whatsapp", "quote", TEXT, "this one", ""),
    ("whatsapp", "referral", TEXT, "still available?", ""),
    ("whatsapp", "edit", TEXT, "corrected", ""),
    ("whatsapp", "edited caption", FILES, "corrected", "image"),
    ("whatsapp", "revoke", SYSTEM, "", "deletion"),
    ("whatsapp", "user_changed_number", SYSTEM, "Sara changed to 98913", "user_changed_number"),
    ("whatsapp", "request_welcome", SYSTEM, "", "request_welcome"),
]
PLACEHOLDERS: list[tuple[str, str, str, bool]] = [
    ("telegram", "story", "story", False),
    ("telegram", "paid_media", "paid_media", False),
    ("telegram", "hologram", "hologram", True),
    ("telegram", "pre_checkout_query", "pre_checkout_query", True),
    ("telegram", "an update of tomorrow", "dream", True),
    ("whatsapp", "interactive with errors", "interactive", False),
    ("whatsapp", "unsupported", "unsupported", False),
    ("whatsapp", "unsupported with its type", "poll_creation", False),
    ("whatsapp", "hologram", "hologram", True),
    ("whatsapp", "call", "call", False),
]


def parsed(channel: str, call: Any) -> Parsed:
    """The result for a call of this provider."""
    raw = as_bytes(call)
    return parse_update(raw) if channel == "telegram" else parse_notification(raw, "44")


def example(channel: str, name: str) -> IncomingMessage:
    """The only message of an example."""
    found = parsed(channel, (TELEGRAM if channel == "telegram" else WHATSAPP)[name])
    assert (found.refused, found.ignored) == ((), ())
    (message,) = found.messages
    return message


def recorded(message: IncomingMessage, default_language: str) -> records_pb2.CustomerMessage:
    """The message as the log has it."""
    return inbound_record(Account("acme", "x", "main", {}, {}, default_language), message, 1).message


@pytest.mark.parametrize(("channel", "name", "kind", "text", "content"), MEANINGS)
def test_a_kind_with_a_meaning(channel: str, name: str, kind: MessageKind, text: str, content: str) -> None:
    """Its words are the text, and its name says what was sent."""
    message = example(channel, name)
    assert (message.kind, message.text, message.content, message.placeholder) == (kind, text, content, False)
    assert message.native_id == ("7" if channel == "telegram" else "98912")
    assert message.raw == b""


@pytest.mark.parametrize(("channel", "name", "content", "raw"), PLACEHOLDERS)
def test_a_kind_that_can_not_be_shown_is_a_placeholder(channel: str, name: str, content: str, raw: bool) -> None:
    """It names what was sent in the customer's language, opens work like any message, and is kept raw if it is unknown."""
    message = example(channel, name)
    assert (message.kind, message.text, message.content, message.placeholder) == (TEXT, "", content, True)
    assert bool(message.raw) == raw
    assert not message.no_auto_reply
    record = recorded(message, "en")
    persian = channel == "telegram"  # Telegram states Sara's language
    assert record.text == (
        f"چیزی فرستاد که این‌جا نمایش داده نمی‌شود: {content}"
        if persian
        else f"sent something that can't be shown here: {content}"
    )
    assert (record.placeholder, record.content, record.language) == (True, content, "fa" if persian else "en")
    assert recorded(message, "fa").text.startswith("چیزی")


def test_every_example_is_tested() -> None:
    """Deletions have a test of their own."""
    tested = {(channel, name) for channel, name, *_ in (*MEANINGS, *PLACEHOLDERS)}
    examples = {("telegram", name) for name in TELEGRAM} | {("whatsapp", name) for name in WHATSAPP}
    assert examples - tested == {("telegram", "deleted_business_messages")}


def test_answers_and_edits_name_their_message() -> None:
    """Quotes, reactions, buttons, edits and deletions."""
    assert example("telegram", "quote").in_reply_to == "7:4"
    in_topic = telegram(chat=GROUP, text="hi", message_thread_id=4, reply_to_message={"message_id": 4, "chat": GROUP})
    assert parsed("telegram", in_topic).messages[0].in_reply_to == ""
    assert example("telegram", "message_reaction").in_reply_to == "7:4"
    assert example("whatsapp", "quote").in_reply_to == "wamid.0"
    assert example("whatsapp", "button").in_reply_to == "wamid.0"
    assert example("whatsapp", "reaction removed").labels == {"event": "reaction_removed"}
    assert example("whatsapp", "revoke").deletes == "wamid.0"
    edit = example("whatsapp", "edited caption")
    assert (edit.native_message_id, edit.revision > 0) == ("wamid.0", True)
    assert example("telegram", "edited_message").native_message_id == "7:5"


def test_deleted_messages_are_named_one_by_one() -> None:
    """Telegram deletes several at once."""
    found = parsed("telegram", TELEGRAM["deleted_business_messages"]).messages
    assert [message.deletes for message in found] == ["bc:7:5", "bc:7:6"]
    assert len({message.native_message_id for message in found}) == 2
    assert {message.native_id for message in found} == {"7"}


def test_a_chat_of_a_business_account_is_not_the_chat_with_the_bot() -> None:
    """Both have message 5 of user 7. An answer needs the connection. The owner's own messages are not a customer's."""
    business, direct = example("telegram", "business_message"), example("telegram", "text")
    assert business.native_message_id == "bc:7:5" != direct.native_message_id == "7:5"
    assert business.reply_context["business_connection_id"] == "bc"
    own = telegram("business_message", text="hi", business_connection_id="bc")
    own["business_message"]["from"] = {**USER, "id": 99}
    assert parsed("telegram", own) == Parsed(ignored=("own_message",))


def test_the_advertisement_and_the_new_number_are_labels() -> None:
    """Rules can use them."""
    assert example("whatsapp", "referral").labels == {"referral": "ad", "referral_id": "77", "referral_headline": "Tea"}
    assert example("whatsapp", "user_changed_number").also == "98913"  # so the new number is the same person
    assert example("whatsapp", "user_changed_number").labels == {"event": "user_changed_number", "new_number": "98913"}


def test_a_group_of_whatsapp_is_answered_in_the_group() -> None:
    """The person is the sender, the address is the group."""
    call = {**WHATSAPP["text"]}
    value = call["entry"][0]["changes"][0]["value"]
    message = {**value["messages"][0], "group_id": "g1"}
    call = {"entry": [{"changes": [{"value": {**value, "messages": [message]}}]}]}
    (found,) = parsed("whatsapp", call).messages
    assert (found.native_id, found.labels["public"]) == ("98912", "true")
    assert (found.reply_context["to"], found.reply_context["recipient_type"]) == ("g1", "group")


def test_who_writes_in_a_group() -> None:
    """A channel's name counts as its owner's; other bots, the group's own posts and forwarded posts are not customers."""
    by_channel = telegram(chat=GROUP, sender_chat={"id": -200, "type": "channel", "title": "Shop"}, text="hi")
    (found,) = parsed("telegram", by_channel).messages
    assert (found.native_id, found.display_name, found.labels) == ("-200", "Shop", {"public": "true"})
    bot = telegram(chat=GROUP, text="hi")
    bot["message"]["from"] = {"id": 9, "is_bot": True}
    anonymous = telegram(chat=GROUP, text="hi", sender_chat=GROUP)
    anonymous["message"]["from"] = {"id": 1087968824, "is_bot": True}
    assert parsed("telegram", bot).ignored == parsed("telegram", anonymous).ignored == ("without_sender",)
    forwarded = telegram(chat=GROUP, sender_chat={"id": -200}, is_automatic_forward=True, text="news")
    assert parsed("telegram", forwarded).ignored == ("channel_post",)
    assert parsed("telegram", {"update_id": 1, "channel_post": {"text": "news"}}).ignored == ("channel_post",)


def test_the_largest_photo_is_the_file() -> None:
    """Telegram sends several sizes."""
    assert [each.reference for each in example("telegram", "photo").attachments] == ["large"]
    assert [each.name for each in example("telegram", "animation").attachments] == ["a.mp4"]
    note = parsed("telegram", telegram(chat=CHAT, video_note=FILE)).messages[0]
    assert note.attachments[0].content_type == "video/mp4"


BOT = {"id": 1, "is_bot": True, "username": "ShopBot"}


@pytest.mark.parametrize(
    ("content", "addressed"),
    [
        ({"text": "hi all"}, False),
        ({"text": "@shopbot where is my order?"}, True),
        ({"text": "@shopbotany is closed"}, False),
        ({"text": "/help me"}, True),
        ({"text": "/help@ShopBot"}, True),
        ({"text": "/help@otherbot"}, False),
        ({"text": "yes", "reply_to_message": {"message_id": 1, "chat": GROUP, "from": BOT}}, True),
        ({"text": "yes", "reply_to_message": {"message_id": 1, "chat": GROUP, "from": USER}}, False),
        ({"photo": [FILE], "caption": "@ShopBot this"}, True),
    ],
)
def test_groups_are_taken_as_configured(content: dict[str, Any], addressed: bool) -> None:
    """Each message, only those that address the bot, or none. Private messages are always taken."""
    raw = as_bytes(telegram(chat=GROUP, **content))
    (message,) = parse_update(raw, GroupPolicy("each", "shopbot")).messages
    assert message.labels == {"public": "true", **({"addressed": "true"} if addressed else {})}
    some = parse_update(raw, GroupPolicy.of({"groups": "addressed", "bot_username": "@ShopBot"}))
    assert (len(some.messages), some.ignored) == ((1, ()) if addressed else (0, ("group_message",)))
    assert parse_update(raw, GroupPolicy("ignore")) == Parsed(ignored=("group_message",))
    private = as_bytes(telegram(text="hi"))
    assert parse_update(private, GroupPolicy("ignore")) == parse_update(private) != Parsed()


@pytest.mark.parametrize(("author", "addressed"), [("98", True), ("+98 ", True), ("98912", False)])
def test_an_answer_to_our_number_addresses_us(author: str, addressed: bool) -> None:
    """In a group of WhatsApp."""
    call = whatsapp({"type": "text", "text": {"body": "yes"}, "group_id": "g", "context": {"from": author, "id": "w"}})
    found = parse_notification(as_bytes(call), "44", GroupPolicy("addressed"))
    assert len(found.messages) == addressed
    assert parse_notification(as_bytes(call), "44", GroupPolicy("ignore")).ignored == ("group_message",)


@pytest.mark.parametrize(
    ("sender", "cards", "native_id", "also"),
    [
        ({"from_user_id": "u1"}, [], "u1", ""),
        ({"from_user_id": "u1"}, [{"wa_id": "98912", "user_id": "u1"}], "98912", "u1"),
        (
            {"from_user_id": "u1"},
            [{"wa_id": "98913", "user_id": "u2"}, {"wa_id": "98912", "user_id": "u1"}],
            "98912",
            "u1",
        ),
        ({"from_user_id": "u1"}, [{"wa_id": "98913", "user_id": "u2"}, {"wa_id": "98914", "user_id": "u3"}], "u1", ""),
        ({"from": "98912", "from_user_id": "u1"}, [], "98912", "u1"),
        ({"from": "98912"}, [{"wa_id": "98912", "user_id": "u1"}], "98912", "u1"),
        ({"from": "98912"}, [{"wa_id": "98913", "user_id": "u2"}], "98912", ""),
        ({"from": "98912"}, [{"wa_id": "98912"}], "98912", ""),
        ({}, [{"wa_id": "98912", "user_id": "u1"}], "98912", "u1"),
    ],
)
def test_a_number_and_a_user_id_in_one_call_are_one_person(
    sender: dict[str, str], cards: list[dict[str, str]], native_id: str, also: str
) -> None:
    """Without a card, with one, or with several; the number is the identity when it is known."""
    message = {"id": "w", "type": "text", "text": {"body": "hi"}, **sender}
    call = {"entry": [{"changes": [{"value": {"contacts": cards, "messages": [message]}}]}]}
    (found,) = parse_notification(as_bytes(call)).messages
    assert (found.native_id, found.also, found.reply_context["to"]) == (native_id, also, native_id)
