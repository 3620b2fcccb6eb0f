"""Parses the notifications of the WhatsApp Cloud API: `entry[].changes[].value.messages[]`, many in one call; `statuses[]`
are parsed by `whatsapp_status`.

Native ids: the sender is `wa_id` (a phone number without `+`), or `user_id` where Meta no longer shows the number; the
message is its `wamid`. An `edit` is a revision of `original_message_id`. The
sender needs for an answer: `to`, `message_id`, `phone_number_id`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from services.ingest.domain.normalise.json_body import parse_json, seconds_to_ms, shaped, unstorable
from services.ingest.domain.normalise.message import (
    Collected,
    IncomingAttachment,
    IncomingMessage,
    IncomingReport,
    MessageKind,
    Parsed,
    Refusal,
)
from services.ingest.domain.normalise.text import clean_file_name, clean_name
from services.ingest.domain.normalise.whatsapp_status import parse_status
from services.ingest.domain.reasons import Reason

_MEDIA = ("image", "audio", "video", "document", "sticker")


class Profile(msgspec.Struct, frozen=True):
    """The customer's profile with the name that they chose."""

    name: str = ""


class ContactCard(msgspec.Struct, frozen=True):
    """The contact card of a sender."""

    wa_id: str = ""
    user_id: str = ""
    profile: Profile = Profile()


class Body(msgspec.Struct, frozen=True):
    """A text."""

    body: str


class Media(msgspec.Struct, frozen=True):
    """A file."""

    id: str
    mime_type: str = "application/octet-stream"
    caption: str = ""
    filename: str = ""
    file_size: int = 0


class Context(msgspec.Struct, frozen=True):
    """The message that is answered."""

    id: str = ""


class Button(msgspec.Struct, frozen=True):
    """A pressed button of a template."""

    text: str = ""
    payload: str = ""


class Choice(msgspec.Struct, frozen=True):
    """The choice from a list or from buttons."""

    id: str = ""
    title: str = ""


class Interactive(msgspec.Struct, frozen=True):
    """An answer to an interactive message."""

    button_reply: Choice | None = None
    list_reply: Choice | None = None


class Reaction(msgspec.Struct, frozen=True):
    """A reaction. Without an emoji, the reaction is removed."""

    message_id: str
    emoji: str = ""


class Location(msgspec.Struct, frozen=True):
    """A place."""

    latitude: float
    longitude: float
    name: str = ""


class Edit(msgspec.Struct, frozen=True):
    """A message's new content."""

    original_message_id: str
    message: dict[str, Any] = {}


class Revoke(msgspec.Struct, frozen=True):
    """A message that the customer deleted."""

    original_message_id: str


class Message(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One message."""

    id: str
    type: str
    from_: str = ""
    user_id: str = ""
    timestamp: str = ""
    text: Body | None = None
    image: Media | None = None
    audio: Media | None = None
    video: Media | None = None
    document: Media | None = None
    sticker: Media | None = None
    button: Button | None = None
    interactive: Interactive | None = None
    reaction: Reaction | None = None
    location: Location | None = None
    edit: Edit | None = None
    revoke: Revoke | None = None
    context: Context | None = None


def parse_notification(raw: bytes, phone_number_id: str = "") -> Parsed:
    """Parse all messages of a call.

    `phone_number_id`: our number. If it is configured, messages for other numbers are ignored.
    """
    body = parse_json(raw)
    if isinstance(body, Refusal):
        return Parsed(refused=(body,))
    collected = Collected()
    for outcome in _walk(body, phone_number_id):
        collected.add(outcome)
    return collected.done()


def _walk(body: dict[str, Any], ours: str) -> Iterator[IncomingMessage | IncomingReport | Refusal | str]:
    entries = body.get("entry")
    if not isinstance(entries, list):
        yield Refusal(Reason.INVALID_FIELD, "entry", "must be an array")
        return
    for e, entry in enumerate(entries):
        changes = entry.get("changes") if isinstance(entry, dict) else None
        if not isinstance(changes, list):
            yield Refusal(Reason.INVALID_FIELD, f"entry[{e}].changes", "must be an array")
            continue
        for c, change in enumerate(changes):
            at = f"entry[{e}].changes[{c}].value"
            value = change.get("value") if isinstance(change, dict) else None
            if not isinstance(value, dict):
                yield Refusal(Reason.INVALID_FIELD, at, "must be an object")
                continue
            yield from _value(value, at, ours)


def _value(value: dict[str, Any], at: str, ours: str) -> Iterator[IncomingMessage | IncomingReport | Refusal | str]:
    metadata = value.get("metadata")
    number = metadata.get("phone_number_id", "") if isinstance(metadata, dict) else ""
    number = number if isinstance(number, str) else ""
    messages = value.get("messages", [])
    statuses = value.get("statuses", [])
    if not isinstance(messages, list):
        yield Refusal(Reason.INVALID_FIELD, f"{at}.messages", "must be an array")
        return
    others = bool(ours and number and number != ours)
    if isinstance(statuses, list):
        yield from ("status" if others else parse_status(status) for status in statuses)
    if not messages and not statuses:
        yield "other"
    if messages and others:
        yield "other_number"
        return
    cards = _cards(value.get("contacts"))
    for index, item in enumerate(messages):
        path = f"{at}.messages[{index}]"
        refusal = unstorable(item, path)
        if refusal is not None:
            yield refusal
            continue
        message = shaped(item, Message, path)
        yield message if isinstance(message, Refusal) else _message(message, cards, number or ours, path)


@dataclass(frozen=True, slots=True)
class _Cards:
    """Contact cards by each of their ids (the first card of an id), and the only card if there is exactly one."""

    by_id: Mapping[str, ContactCard]
    only: ContactCard | None


def _cards(contacts: Any) -> _Cards:
    found: list[ContactCard] = []
    for item in contacts if isinstance(contacts, list) else []:
        card = shaped(item, ContactCard)
        if isinstance(card, ContactCard) and unstorable(item) is None:
            found.append(card)
    by_id: dict[str, ContactCard] = {}
    for card in found:
        by_id.setdefault(card.wa_id, card)
        by_id.setdefault(card.user_id, card)
    return _Cards(by_id, found[0] if len(found) == 1 else None)


def _message(message: Message, cards: _Cards, number: str, at: str) -> IncomingMessage | Refusal | str:
    sender = message.from_ or message.user_id
    card = cards.by_id.get(sender) if sender else cards.only
    native_id = sender or (card.wa_id or card.user_id if card is not None else "")
    if not native_id:
        return Refusal(Reason.INVALID_FIELD, f"{at}.from", "is missing, and no contact card gives it")
    if not message.id:
        return Refusal(Reason.INVALID_FIELD, f"{at}.id", "must not be empty")
    if message.type == "edit":
        return _edited(message, native_id, card, number, at)
    content = _content(message)
    if content is None:
        return "unsupported_type"
    text, kind, attachments, answered = content
    return IncomingMessage(
        native_id=native_id,
        native_message_id=message.id,
        text=text,
        kind=kind,
        display_name=clean_name(card.profile.name) if card is not None else "",
        sent_at_ms=_time(message.timestamp),
        in_reply_to=answered or (message.context.id if message.context is not None else ""),
        attachments=attachments,
        reply_context=_reply_context(native_id, message, number),
        no_auto_reply=kind in (MessageKind.SYSTEM, MessageKind.REACTION),
        labels=_labels(message),
    )


def _edited(
    message: Message, native_id: str, card: ContactCard | None, number: str, at: str
) -> IncomingMessage | Refusal:
    edit = message.edit
    if edit is None or not edit.original_message_id:
        return Refusal(Reason.INVALID_FIELD, f"{at}.edit.original_message_id", "must name the message that is edited")
    new = edit.message.get("text")
    text = new.get("body", "") if isinstance(new, dict) else ""
    # Each edit has an id of its own; a number derived from it is the same at every retry.
    revision = (
        int.from_bytes(hashlib.sha256(message.id.encode("utf-8", "surrogatepass")).digest()[:4]) % (2**31 - 2) + 1
    )
    return IncomingMessage(
        native_id=native_id,
        native_message_id=edit.original_message_id,
        text=text if isinstance(text, str) else "",
        revision=revision,
        display_name=clean_name(card.profile.name) if card is not None else "",
        sent_at_ms=_time(message.timestamp),
        reply_context=_reply_context(native_id, message, number),
    )


def _content(message: Message) -> tuple[str, MessageKind, tuple[IncomingAttachment, ...], str] | None:
    """Return text, kind, attachments and the message that is answered; None for a kind that is not used."""
    if message.text is not None:
        return message.text.body, MessageKind.TEXT, (), ""
    for name in _MEDIA:
        media: Media | None = getattr(message, name)
        if media is not None:
            size = max(0, media.file_size)
            file = IncomingAttachment(media.mime_type, clean_file_name(media.filename), size, media.id)
            return media.caption, MessageKind.ATTACHMENT, (file,), ""
    if message.button is not None:
        return message.button.text or message.button.payload, MessageKind.BUTTON, (), ""
    if message.interactive is not None:
        choice = message.interactive.button_reply or message.interactive.list_reply
        return (choice.title or choice.id, MessageKind.BUTTON, (), "") if choice is not None else None
    if message.reaction is not None:
        return message.reaction.emoji, MessageKind.REACTION, (), message.reaction.message_id
    if message.location is not None:
        return (
            f"{message.location.latitude},{message.location.longitude} {message.location.name}".strip(),
            MessageKind.TEXT,
            (),
            "",
        )
    if message.type == "revoke" and message.revoke is not None:
        return "", MessageKind.SYSTEM, (), message.revoke.original_message_id
    return None


def _labels(message: Message) -> dict[str, str]:
    if message.type == "revoke":
        return {"event": "revoked"}
    if message.reaction is not None and not message.reaction.emoji:
        return {"event": "reaction_removed"}
    return {}


def _reply_context(native_id: str, message: Message, number: str) -> dict[str, str]:
    return {"to": native_id, "message_id": message.id, "phone_number_id": number}


def _time(timestamp: str) -> int:
    return seconds_to_ms(int(timestamp)) if timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 12 else 0
