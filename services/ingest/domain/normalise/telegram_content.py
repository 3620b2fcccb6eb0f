"""Says what a Telegram message holds: its words, its files, and the type of what has no words.

A type that is not known here is a placeholder with Telegram's name of it. Notes about a chat (a title was changed, a
message was pinned) are events: they belong to the conversation but ask for nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from services.ingest.domain.files.policy import FileState
from services.ingest.domain.normalise.message import IncomingAttachment, MessageKind
from services.ingest.domain.normalise.placeholders import content_name
from services.ingest.domain.normalise.telegram_names import ENVELOPE, EVENTS, NAMED
from services.ingest.domain.normalise.telegram_shapes import File, Message, Payment, Place
from services.ingest.domain.normalise.text import clean_file_name

_FILES: Final = (
    ("document", ""),
    ("animation", "video/mp4"),
    ("voice", "audio/ogg"),
    ("audio", ""),
    ("video", ""),
    ("video_note", "video/mp4"),
    ("sticker", "image/webp"),
)
_NO_MINOR_UNIT: Final = frozenset({"XTR", "JPY", "KRW", "VND", "CLP", "ISK", "PYG", "UGX"})


@dataclass(frozen=True, slots=True)
class Content:
    """`name`: the kind of content, "" for a plain text. A placeholder has no text. `known` is false for a type that is not
    known here."""

    text: str = ""
    kind: MessageKind = MessageKind.TEXT
    attachments: tuple[IncomingAttachment, ...] = ()
    name: str = ""
    placeholder: bool = False
    known: bool = True


def content_of(message: Message, value: dict[str, Any]) -> Content:
    """Return what the message holds. `value`: the object as received, which also has the fields that are not known."""
    attachments, name = _attachments(message)
    words = message.text or message.caption
    if attachments:
        emoji = message.sticker.emoji if message.sticker is not None else ""
        return Content(words or emoji, MessageKind.ATTACHMENT, attachments, name)
    found, name = _words(message)
    names = [key for key, child in value.items() if key not in ENVELOPE and child not in (None, False)]
    if found or words:
        text = "\n".join(part for part in (words, found) if part)
        return Content(text, name=name or (content_name(names[0]) if names else ""))
    known = next((key for key in names if key in EVENTS), "")
    if known:
        return Content(kind=MessageKind.SYSTEM, name=known)
    # Objects first: a new kind of content is an object, while flags and numbers say how it is shown.
    names.sort(key=lambda key: not isinstance(value[key], dict | list))
    name = name or content_name(names[0] if names else "")
    return Content(name=name, placeholder=True, known=name in NAMED)


def _words(message: Message) -> tuple[str, str]:
    """Return the text of content that has no file, and its name."""
    if message.venue is not None:
        place = message.venue.location or message.location
        at = _place(place) if place is not None else ""
        return " ".join(part for part in (at, message.venue.title, message.venue.address) if part), "venue"
    if message.location is not None:
        return _place(message.location), "location"
    if message.contact is not None:
        card = message.contact
        return " ".join(part for part in (card.first_name, card.last_name, card.phone_number) if part), "contact"
    if message.poll is not None:
        return _list(message.poll.question, (option.text for option in message.poll.options)), "poll"
    if message.checklist is not None:
        return _list(message.checklist.title, (task.text for task in message.checklist.tasks)), "checklist"
    if message.dice is not None:
        return f"{message.dice.emoji} {message.dice.value}".strip(), "dice"
    if message.web_app_data is not None:
        data = message.web_app_data
        return "\n".join(part for part in (data.button_text, data.data) if part), "web_app_data"
    if message.successful_payment is not None:
        return _amount(message.successful_payment), "successful_payment"
    if message.refunded_payment is not None:
        return _amount(message.refunded_payment), "refunded_payment"
    return "", ""


def _place(place: Place) -> str:
    return f"{place.latitude},{place.longitude}"


def _list(title: str, entries: Iterable[str]) -> str:
    return "\n".join([part for part in [title] if part] + [f"- {entry}" for entry in entries if entry])


def _amount(payment: Payment) -> str:
    unit = payment.currency.upper()
    whole, minor = divmod(abs(payment.total_amount), 100)
    amount = str(payment.total_amount) if unit in _NO_MINOR_UNIT else f"{whole}.{minor:02d}"
    return " ".join(part for part in (amount, payment.currency, payment.invoice_payload) if part)


def _attachments(message: Message) -> tuple[tuple[IncomingAttachment, ...], str]:
    found: list[IncomingAttachment] = []
    names: list[str] = []
    if message.photo:
        largest = max(message.photo, key=lambda photo: photo.file_size)
        found.append(_attachment(largest, "image/jpeg"))
        names.append("photo")
    for name, usual in _FILES:
        file: File | None = getattr(message, name)
        if file is None or (name == "animation" and message.document is not None):
            continue  # an animation is also given as a document
        found.append(_attachment(file, usual))
        names.append(name)
    if message.animation is not None:
        names = ["animation"]
    return tuple(found), names[0] if names else ""


def _attachment(file: File, usual: str) -> IncomingAttachment:
    return IncomingAttachment(
        file.mime_type or usual or "application/octet-stream",
        clean_file_name(file.file_name),
        max(0, file.file_size),
        file.file_id,
        state=FileState.TO_FETCH if file.file_id else FileState.DESCRIBED,
    )
