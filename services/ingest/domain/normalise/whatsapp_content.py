"""Says what a WhatsApp message holds: its words, its files, and the type of what has no words."""

from dataclasses import dataclass
from typing import Any, Final

from services.ingest.domain.files.policy import FileState
from services.ingest.domain.normalise.json_body import parse_json
from services.ingest.domain.normalise.message import IncomingAttachment, MessageKind, Refusal
from services.ingest.domain.normalise.placeholders import UNREADABLE, content_name
from services.ingest.domain.normalise.salvage import storable
from services.ingest.domain.normalise.text import clean_file_name
from services.ingest.domain.normalise.whatsapp_shapes import Form, Interactive, Media, Message, Order, SharedContact

_MEDIA: Final = ("image", "audio", "voice", "video", "document", "sticker")
_SILENT: Final = frozenset({"request_welcome"})
"""Types that say that a chat began, without anything to answer."""
_KNOWN: Final = frozenset({"unsupported", "unknown", "interactive", "order", "contacts", "location", "ephemeral"})
_MOST_ANSWERS: Final = 50


@dataclass(frozen=True, slots=True)
class Content:
    """`name`: the kind of content, "" for a plain text. `answered`: id of the message that it is about. A placeholder has no
    text. `known` is false for a type that is not known here."""

    text: str = ""
    kind: MessageKind = MessageKind.TEXT
    attachments: tuple[IncomingAttachment, ...] = ()
    answered: str = ""
    name: str = ""
    placeholder: bool = False
    known: bool = True
    event: str = ""
    deletes: str = ""


def content_of(message: Message) -> Content:
    """Return what the message holds."""
    for name in _MEDIA:
        media: Media | None = getattr(message, name)
        if media is not None and (media.id or media.caption):
            size = max(0, media.file_size)
            file = IncomingAttachment(
                media.mime_type, clean_file_name(media.filename), size, media.id, state=FileState.TO_FETCH
            )
            files = (file,) if media.id else ()
            kind = MessageKind.ATTACHMENT if media.id else MessageKind.TEXT
            return Content(media.caption, kind, files, name="voice" if media.voice else name)
    if message.reaction is not None:
        emoji = message.reaction.emoji
        return Content(
            emoji,
            MessageKind.REACTION,
            answered=message.reaction.message_id,
            name="reaction",
            event="" if emoji else "reaction_removed",
        )
    if message.revoke is not None:
        target = message.revoke.original_message_id
        return Content(kind=MessageKind.SYSTEM, answered=target, name="deletion", event="revoked", deletes=target)
    if message.system is not None:
        event = content_name(message.system.type)
        return Content(message.system.body, MessageKind.SYSTEM, name=event, event=event)
    if message.type in _SILENT:
        return Content(kind=MessageKind.SYSTEM, name=message.type, event=message.type)
    if message.text is not None and message.text.body:
        return Content(message.text.body)
    return _other(message)


def _other(message: Message) -> Content:
    """Return content without a file: its words, or a placeholder."""
    text, name, kind = _words(message)
    if text:
        return Content(text, kind, name=name)
    if message.unsupported is not None and message.unsupported.type:
        return Content(name=content_name(message.unsupported.type), placeholder=True)
    if message.type == "text":
        return Content(name=UNREADABLE, placeholder=True)
    given = name or content_name(message.type)
    return Content(name=given, placeholder=True, known=given in _KNOWN)


def _words(message: Message) -> tuple[str, str, MessageKind]:
    if message.button is not None:
        return message.button.text or message.button.payload, "button", MessageKind.BUTTON
    if message.interactive is not None:
        return _answer(message.interactive)
    if message.location is not None:
        place = message.location
        parts = (f"{place.latitude},{place.longitude}", place.name, place.address)
        return " ".join(part for part in parts if part), "location", MessageKind.TEXT
    if message.contacts:
        return "\n".join(filter(None, map(_contact, message.contacts))), "contacts", MessageKind.TEXT
    if message.order is not None:
        return _order(message.order), "order", MessageKind.TEXT
    return "", "", MessageKind.TEXT


def _answer(answer: Interactive) -> tuple[str, str, MessageKind]:
    choice = answer.button_reply or answer.list_reply
    if choice is not None:
        return choice.title or choice.id, "button", MessageKind.BUTTON
    if answer.nfm_reply is not None:
        return _form(answer.nfm_reply), "nfm_reply", MessageKind.TEXT
    if answer.call_permission_reply is not None:
        return answer.call_permission_reply.response, "call_permission_reply", MessageKind.BUTTON
    return "", content_name(answer.type) if answer.type else "interactive", MessageKind.TEXT


def _form(form: Form) -> str:
    """Return the answers of a form, one a line. The flow's token is not an answer."""
    answers = parse_json(form.response_json.encode("utf-8", "replace")) if form.response_json else {}
    lines: list[str] = []
    if isinstance(answers, Refusal):
        lines = [form.response_json]
    else:
        found: dict[str, Any] = storable(answers)
        shown = [(name, value) for name, value in found.items() if name != "flow_token"]
        lines = [f"{name}: {_value(value)}" for name, value in shown[:_MOST_ANSWERS]]
    return "\n".join(part for part in (form.body or form.name, *lines) if part)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_value(each) for each in value if not isinstance(each, list | dict))
    return value if isinstance(value, str) else str(value)


def _contact(card: SharedContact) -> str:
    phones = [each.phone or each.wa_id for each in card.phones]
    parts = (card.name.formatted_name or card.name.first_name, *phones, *(each.email for each in card.emails))
    return " ".join(part for part in parts if part)


def _order(order: Order) -> str:
    lines = [
        " ".join(
            part
            for part in (f"{item.quantity} × {item.product_retailer_id}", f"{item.item_price}", item.currency)
            if part
        )
        for item in order.product_items
    ]
    return "\n".join(part for part in (order.text, *lines) if part)
