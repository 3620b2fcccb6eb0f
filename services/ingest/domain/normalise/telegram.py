"""Parses the updates of Telegram and Bale.

Native ids: the sender is `from.id`, the message `{chat.id}:{message_id}`. An edit has the same native id, and its
update's id as revision: two edits may have the same second in `edit_date`, and a retry of the provider repeats the
update id. A pressed button is `cb:{callback id}`. `my_chat_member` shows reachability: a SYSTEM message labelled
`reachability`. The sender needs for an answer: `chat_id`, `message_id`, and `message_thread_id` in a forum's topic.
"""

from typing import Any

import msgspec

from services.ingest.domain.normalise.json_body import parse_json, shaped, unstorable
from services.ingest.domain.normalise.language import language_code
from services.ingest.domain.normalise.message import (
    Collected,
    IncomingAttachment,
    IncomingMessage,
    MessageKind,
    Parsed,
    Refusal,
)
from services.ingest.domain.normalise.text import clean_file_name, clean_name
from services.ingest.domain.reasons import Reason

_MAX_REVISION = 2**31 - 1


class User(msgspec.Struct, frozen=True):
    """A user or bot."""

    id: int
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    language_code: str = ""
    is_bot: bool = False


class Chat(msgspec.Struct, frozen=True):
    """The chat of a message."""

    id: int
    type: str = "private"
    title: str = ""


class File(msgspec.Struct, frozen=True):
    """Any of the files that a message can hold."""

    file_id: str
    file_name: str = ""
    mime_type: str = ""
    file_size: int = 0


class Place(msgspec.Struct, frozen=True):
    """A location."""

    latitude: float
    longitude: float


class Contact(msgspec.Struct, frozen=True):
    """A shared contact; proves a phone number only when its user is the sender."""

    phone_number: str
    user_id: int = 0


class Replied(msgspec.Struct, frozen=True):
    """The message that is answered."""

    message_id: int


class Message(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A message."""

    message_id: int
    chat: Chat
    from_: User | None = None
    date: int = 0
    edit_date: int = 0
    message_thread_id: int = 0
    text: str = ""
    caption: str = ""
    reply_to_message: Replied | None = None
    photo: list[File] = []
    document: File | None = None
    voice: File | None = None
    audio: File | None = None
    video: File | None = None
    sticker: File | None = None
    location: Place | None = None
    contact: Contact | None = None


class CallbackQuery(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A pressed button."""

    id: str
    from_: User
    data: str = ""
    message: Message | None = None


class Member(msgspec.Struct, frozen=True):
    """A member's state in a chat."""

    status: str


class MemberUpdated(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A user blocked or unblocked the bot."""

    chat: Chat
    from_: User
    new_chat_member: Member
    date: int = 0


_FILES = (("document", ""), ("voice", "audio/ogg"), ("audio", ""), ("video", ""), ("sticker", "image/webp"))


def parse_update(raw: bytes) -> Parsed:
    """Parse one update. Every outcome is in the result; nothing raises."""
    body = parse_json(raw)
    if isinstance(body, Refusal):
        return Parsed(refused=(body,))
    collected = Collected()
    collected.add(_update(body))
    return collected.done()


def _update(body: dict[str, Any]) -> IncomingMessage | Refusal | str:
    update_id = body.get("update_id")
    if isinstance(update_id, bool) or not isinstance(update_id, int):
        return Refusal(Reason.INVALID_FIELD, "update_id", "must be a whole number")
    if not -(2**63) <= update_id < 2**63:
        return Refusal(Reason.INVALID_FIELD, "update_id", "must fit into 64 bits")
    for field in ("message", "edited_message", "callback_query", "my_chat_member"):
        if field in body:
            refusal = unstorable(body[field], field)
            return refusal if refusal is not None else _event(field, body[field], update_id)
    names = sorted(key for key in body if key != "update_id")
    return _KNOWN.get(names[0], "other") if names else "empty"


# Metric labels are a closed list: a provider's new kind is "other" until it is added here.
_KNOWN = {
    name: name
    for name in (
        "channel_post",
        "edited_channel_post",
        "poll",
        "poll_answer",
        "chat_boost",
        "inline_query",
        "chat_member",
    )
}


def _event(field: str, value: Any, update_id: int) -> IncomingMessage | Refusal | str:
    if field == "callback_query":
        query = shaped(value, CallbackQuery, field)
        return query if isinstance(query, Refusal) else _button(query)
    if field == "my_chat_member":
        member = shaped(value, MemberUpdated, field)
        return member if isinstance(member, Refusal) else _reachability(member, update_id)
    message = shaped(value, Message, field)
    if isinstance(message, Refusal):
        return message
    revision = max(1, update_id % _MAX_REVISION) if field == "edited_message" else 0
    return _message(message, revision)


def _message(message: Message, revision: int) -> IncomingMessage | str:
    sender = message.from_
    if sender is None or sender.is_bot:
        return "without_sender"
    attachments = _attachments(message)
    text = message.text or message.caption
    if message.location is not None:
        text = text or f"{message.location.latitude},{message.location.longitude}"
    if not text and not attachments and message.contact is None:
        return "service_message"
    labels = {} if message.chat.type == "private" else {"public": "true"}
    if message.contact is not None and message.contact.user_id == sender.id:
        labels["shared_own_contact"] = "true"
    return IncomingMessage(
        native_id=str(sender.id),
        native_message_id=f"{message.chat.id}:{message.message_id}",
        text=text or (message.contact.phone_number if message.contact is not None else ""),
        revision=revision,
        kind=MessageKind.ATTACHMENT if attachments else MessageKind.TEXT,
        display_name=_name(sender),
        language=language_code(sender.language_code),
        sent_at_ms=max(0, (message.edit_date or message.date) * 1000),
        in_reply_to=f"{message.chat.id}:{message.reply_to_message.message_id}" if message.reply_to_message else "",
        attachments=attachments,
        reply_context=_context(message),
        labels=labels,
    )


def _button(query: CallbackQuery) -> IncomingMessage:
    context = _context(query.message) if query.message is not None else {"chat_id": str(query.from_.id)}
    at = query.message
    return IncomingMessage(
        native_id=str(query.from_.id),
        native_message_id=f"cb:{query.id}",
        text=query.data,
        kind=MessageKind.BUTTON,
        display_name=_name(query.from_),
        language=language_code(query.from_.language_code),
        in_reply_to=f"{at.chat.id}:{at.message_id}" if at is not None else "",
        reply_context={**context, "callback_query_id": query.id},
    )


def _reachability(member: MemberUpdated, update_id: int) -> IncomingMessage | str:
    if member.chat.type != "private":
        return "group_membership"
    blocked = member.new_chat_member.status in ("kicked", "left", "banned")
    return IncomingMessage(
        native_id=str(member.from_.id),
        native_message_id=f"member:{update_id}",
        kind=MessageKind.SYSTEM,
        display_name=_name(member.from_),
        sent_at_ms=max(0, member.date * 1000),
        reply_context={"chat_id": str(member.chat.id)},
        labels={"reachability": "blocked" if blocked else "reachable"},
        no_auto_reply=True,
    )


def _context(message: Message) -> dict[str, str]:
    context = {"chat_id": str(message.chat.id), "message_id": str(message.message_id)}
    if message.message_thread_id:
        context["message_thread_id"] = str(message.message_thread_id)
    return context


def _name(user: User) -> str:
    return clean_name(f"{user.first_name} {user.last_name}") or clean_name(user.username)


def _attachments(message: Message) -> tuple[IncomingAttachment, ...]:
    found = []
    if message.photo:
        largest = max(message.photo, key=lambda photo: photo.file_size)
        found.append(_attachment(largest, "image/jpeg"))
    for name, usual in _FILES:
        file = getattr(message, name)
        if file is not None:
            found.append(_attachment(file, usual))
    return tuple(found)


def _attachment(file: File, usual: str) -> IncomingAttachment:
    return IncomingAttachment(
        file.mime_type or usual or "application/octet-stream",
        clean_file_name(file.file_name),
        max(0, file.file_size),
        file.file_id,
    )
