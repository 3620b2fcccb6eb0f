"""Parses the notifications of the WhatsApp Cloud API: `entry[].changes[].value.messages[]`, many in one call; `statuses[]`
are parsed by `whatsapp_status`.

Native ids: the sender is `wa_id` (a phone number without `+`), or `user_id` where Meta no longer shows the number; a
call with both states that they are one person. The message is its `wamid`. An
`edit` is a revision of `original_message_id`. The sender needs for an answer: `to`, `message_id`, `phone_number_id`.

Nothing that a customer sends is lost: content of an unknown type is a placeholder that names the type, and of a message
with a field that can't be read the rest is used. Both are kept raw.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from services.ingest.domain.normalise.json_body import parse_json, seconds_to_ms, unstorable
from services.ingest.domain.normalise.message import (
    Collected,
    IncomingMessage,
    IncomingReport,
    MessageKind,
    Parsed,
    Refusal,
)
from services.ingest.domain.normalise.originals import original_of
from services.ingest.domain.normalise.placeholders import UNREADABLE
from services.ingest.domain.normalise.salvage import encoded, first_text, kept, salvaged
from services.ingest.domain.normalise.text import clean_name
from services.ingest.domain.normalise.whatsapp_content import content_of
from services.ingest.domain.normalise.whatsapp_shapes import ContactCard, Edit, Message
from services.ingest.domain.normalise.whatsapp_status import parse_status
from services.policy.model.groups import GroupPolicy

_MOST_LABEL: Final = 100
_EVERY_GROUP: Final = GroupPolicy()
Outcome = IncomingMessage | IncomingReport | Refusal | str


def parse_notification(raw: bytes, phone_number_id: str = "", groups: GroupPolicy = _EVERY_GROUP) -> Parsed:
    """Parse all messages of a call.

    `phone_number_id`: our number. If it is configured, messages for other numbers are ignored. `groups`: which messages
    of groups are taken.
    """
    body = parse_json(raw)
    if isinstance(body, Refusal):
        return Parsed(refused=(body,))
    collected = Collected()
    values = list(_values(body))
    strange = None in values
    # A call may hold events of several persons. Then each message keeps its own part of it.
    apart = strange or sum(_events(value) for value in values if value is not None) > 1
    for value in values:
        for outcome in _value(value, phone_number_id, apart=apart) if value is not None else ():
            collected.add(outcome)
    if strange:
        # Something around the messages has an unexpected form: the whole call is kept, once.
        collected.add(_unreadable(body, _Cards({}, None), phone_number_id))
    found = collected.done(groups)
    return found if found != Parsed() else Parsed(ignored=("empty",))


def _values(body: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
    """Yield the `value` of each change; None for each part that is not as documented."""
    entries = body.get("entry")
    for entry in entries if isinstance(entries, list) else [None]:
        changes = entry.get("changes") if isinstance(entry, dict) else None
        for change in changes if isinstance(changes, list) else [None]:
            if not isinstance(change, dict):
                yield None
                continue
            value = change.get("value")
            yield value if isinstance(value, dict) and not _hollow(change.get("field"), value) else None


def _hollow(field: Any, value: dict[str, Any]) -> bool:
    """Return whether a change of messages or calls has none of what it may have."""
    return field in ("messages", "calls") and not any(name in value for name in (field, "statuses", "errors"))


def _events(value: dict[str, Any]) -> int:
    """Return the number of messages, statuses and calls."""
    given = (value.get(name, []) for name in ("messages", "statuses", "calls"))
    return sum(len(each) if isinstance(each, list) else 1 for each in given)


def _value(value: dict[str, Any], ours: str, *, apart: bool) -> Iterator[Outcome]:
    metadata = value.get("metadata")
    number = metadata.get("phone_number_id", "") if isinstance(metadata, dict) else ""
    number = number if isinstance(number, str) and unstorable(number) is None else ""
    given = value.get("messages", [])
    messages = given if isinstance(given, list) else [given]
    statuses = value.get("statuses", [])
    others = bool(ours and number and number != ours)
    for status in statuses if isinstance(statuses, list) else [statuses]:
        yield "status" if others else parse_status(status)
    given = value.get("calls", [])
    calls = given if isinstance(given, list) else [given]
    if not messages and not statuses and not calls:
        yield "other"
    if others:
        yield from ("other_number" for _ in (messages or calls)[:1])
        return
    cards = _cards(value.get("contacts"))
    for item in messages:
        outcome = _message(item, cards, number or ours)
        outcome = _addressed(outcome, item, metadata) if isinstance(outcome, IncomingMessage) else outcome
        yield _part(outcome, item) if apart else outcome
    for item in calls:
        outcome = _call(item, cards, number or ours)
        yield _part(outcome, item) if apart else outcome


def _part(outcome: Outcome, item: Any) -> Outcome:
    """Return a message with its own part of the call as its original."""
    if not isinstance(outcome, IncomingMessage):
        return outcome
    return replace(outcome, original=original_of("whatsapp", encoded(item)))


@dataclass(frozen=True, slots=True)
class _Cards:
    """Contact cards by each of their ids (the first card of an id), and the only card if there is exactly one."""

    by_id: Mapping[str, ContactCard]
    only: ContactCard | None

    def of(self, sender: str) -> ContactCard | None:
        """Return the card of a sender; the only card for an unknown sender."""
        return self.by_id.get(sender) if sender else self.only


def _cards(contacts: Any) -> _Cards:
    found: list[ContactCard] = []
    for item in contacts if isinstance(contacts, list) else []:
        card, _ = salvaged(item, ContactCard)
        if card is not None:
            found.append(card)
    by_id: dict[str, ContactCard] = {}
    for card in found:
        by_id.setdefault(card.wa_id, card)
        by_id.setdefault(card.user_id, card)
    return _Cards(by_id, found[0] if len(found) == 1 else None)


def _message(item: Any, cards: _Cards, number: str) -> Outcome:
    message, whole = salvaged(item, Message)
    if message is None:
        return _unreadable(item, cards, number)
    native_id, card = _sender(message, cards)
    if not native_id:
        return _unreadable(item, cards, number)
    if message.type == "edit" and message.edit is not None and message.edit.original_message_id:
        return _edited(message, message.edit, native_id, card, number, b"" if whole else kept(item))
    found = content_of(message)
    return IncomingMessage(
        native_id=native_id,
        native_message_id=message.id or _hash(item),
        text=found.text,
        kind=found.kind,
        display_name=clean_name(card.profile.name) if card is not None else "",
        sent_at_ms=_time(message.timestamp),
        in_reply_to=found.answered or (message.context.id if message.context is not None else ""),
        attachments=found.attachments,
        reply_context=_reply_context(native_id, message, number),
        place=message.group_id,
        no_auto_reply=found.kind in (MessageKind.SYSTEM, MessageKind.REACTION),
        labels=_labels(message, found.event),
        content=found.name,
        placeholder=found.placeholder,
        also=_also(message, card, native_id),
        deletes=found.deletes,
        raw=b"" if whole and found.known and message.id else kept(item),
    )


def _sender(message: Message, cards: _Cards) -> tuple[str, ContactCard | None]:
    """Return the sender's native id, "" when nothing names them, and their card. The number comes before the user id."""
    user_id = message.from_user_id or message.user_id
    card = cards.of(message.from_) if message.from_ else cards.of(user_id)
    if card is None and user_id:
        card = cards.of(user_id)
    known = card if card is not None else ContactCard()
    return message.from_ or known.wa_id or user_id or known.user_id, card


def _also(message: Message, card: ContactCard | None, native_id: str) -> str:
    """Return another id of the sender: their new number, or the user id of a sender who is known by their number; ""
    when the call states none."""
    if message.system is not None and message.system.type.endswith("_changed_number"):
        return message.system.wa_id or message.system.new_wa_id
    user_id = message.from_user_id or message.user_id or (card.user_id if card is not None else "")
    return user_id if user_id != native_id else ""


def _edited(
    message: Message, edit: Edit, native_id: str, card: ContactCard | None, number: str, raw: bytes
) -> IncomingMessage:
    """Return the new revision of an edited message: its text, or the caption of its file."""
    new, whole = salvaged({"id": edit.original_message_id, **edit.message}, Message)
    found = content_of(new) if new is not None else None
    # Each edit has an id of its own; a number derived from it is the same at every retry.
    revision = int.from_bytes(hashlib.sha256(message.id.encode()).digest()[:4]) % (2**31 - 2) + 1
    incomplete = found is None or not whole or not found.known
    return IncomingMessage(
        native_id=native_id,
        native_message_id=edit.original_message_id,
        text=found.text if found is not None else "",
        revision=revision,
        kind=found.kind if found is not None and found.attachments else MessageKind.TEXT,
        display_name=clean_name(card.profile.name) if card is not None else "",
        sent_at_ms=_time(message.timestamp),
        attachments=found.attachments if found is not None else (),
        reply_context=_reply_context(native_id, message, number),
        place=message.group_id,
        content=found.name if found is not None else UNREADABLE,
        placeholder=found is None or found.placeholder,
        raw=raw or (kept({"id": message.id, "edit": edit.message}) if incomplete else b""),
    )


def _call(item: Any, cards: _Cards, number: str) -> Outcome:
    """Return a call as a placeholder. Its beginning and its end have the same id, so it is shown once."""
    message, _ = salvaged(item, Message)
    if message is None:
        return _unreadable(item, cards, number)
    if isinstance(item, dict) and item.get("direction") == "BUSINESS_INITIATED":
        return "own_call"
    native_id, card = _sender(message, cards)
    if not native_id or not message.id:
        return _unreadable(item, cards, number)
    return IncomingMessage(
        native_id=native_id,
        native_message_id=message.id,
        display_name=clean_name(card.profile.name) if card is not None else "",
        sent_at_ms=_time(message.timestamp),
        reply_context={"to": native_id, "phone_number_id": number},
        content="call",
        placeholder=True,
    )


def _unreadable(item: Any, cards: _Cards, number: str) -> IncomingMessage:
    """Return what can be said of a message that lacks what every message has."""
    sender = first_text(item, "from", "from_user_id", "user_id")
    card = cards.of(sender)
    sender = sender or ((card.wa_id or card.user_id) if card is not None else "")
    text = first_text(item.get("text"), "body") if isinstance(item, dict) else ""
    return IncomingMessage(
        native_id=sender or f"unidentified:{_hash(item)}",
        native_message_id=first_text(item, "id") or _hash(item),
        text=text,
        display_name=clean_name(card.profile.name) if card is not None else "",
        verified=bool(sender),
        reply_context={"to": sender, "phone_number_id": number} if sender else {},
        labels={"unparsed": "true"},
        no_auto_reply=not sender,
        content=UNREADABLE,
        placeholder=not text,
        raw=kept(item),
    )


def _addressed(message: IncomingMessage, item: Any, metadata: Any) -> IncomingMessage:
    """Return the message of a group with the label `addressed` when it answers a message of our number."""
    if message.labels.get("public") != "true":
        return message
    ours = _digits(first_text(metadata, "display_phone_number"))
    context = item.get("context") if isinstance(item, dict) else None
    if not ours or _digits(first_text(context, "from")) != ours:
        return message
    return replace(message, labels={**message.labels, "addressed": "true"})


def _digits(number: str) -> str:
    return "".join(digit for digit in number[:_MOST_LABEL] if digit.isdecimal())


def _labels(message: Message, event: str) -> dict[str, str]:
    labels = {"event": event} if event else {}
    if message.group_id:
        labels["public"] = "true"
    if message.referral is not None:
        labels["referral"] = message.referral.source_type[:_MOST_LABEL] or "referral"
        labels["referral_id"] = message.referral.source_id[:_MOST_LABEL]
        labels["referral_headline"] = message.referral.headline[:_MOST_LABEL]
    if message.system is not None and (new := message.system.wa_id or message.system.new_wa_id):
        labels["new_number"] = new[:_MOST_LABEL]
    return {name: value for name, value in labels.items() if value}


def _reply_context(native_id: str, message: Message, number: str) -> dict[str, str]:
    context = {"to": message.group_id or native_id, "message_id": message.id, "phone_number_id": number}
    if message.group_id:
        context["recipient_type"] = "group"
    return context


def _hash(item: Any) -> str:
    return f"sha256:{hashlib.sha256(kept(item)).hexdigest()[:40]}"


def _time(timestamp: str) -> int:
    return seconds_to_ms(int(timestamp)) if timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 12 else 0
