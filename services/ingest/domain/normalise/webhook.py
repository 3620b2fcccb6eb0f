"""The generic signed webhook's own body, documented for callers in docs/api.md.

{"message_id": "…",                      required, 1 to 200 characters: the caller's id; the same id again is a duplicate
 "customer": {"id": "…", "name": "…"},   id required, 1 to 200 characters
 "text": "…",                            required, unless "left" is true or there are files
 "files": [{"name": "a.pdf", "content": "base64"}],   up to 20, optional
 "language": "fa",                       BCP 47, optional
 "labels": {"tier": "gold"},             up to 20, optional
 "sent_at": "2026-03-21T08:30:00Z",      RFC 3339 with a zone, optional
 "left": false}                          true when the customer has gone, optional
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from services.ingest.domain.normalise.json_body import may_be_unstorable, parse_json, shaped, unstorable
from services.ingest.domain.normalise.language import language_code
from services.ingest.domain.normalise.message import IncomingAttachment, IncomingMessage, MessageKind, Parsed, Refusal
from services.ingest.domain.normalise.text import clean_file_name, clean_name
from services.ingest.domain.reasons import Reason

MAX_ID = 200
MAX_LABELS = 20
MAX_LABEL = 100
MAX_FILES = 20


class Customer(msgspec.Struct, frozen=True):
    """The sender of the message."""

    id: str
    name: str = ""


class File(msgspec.Struct, frozen=True):
    """A file. Its type is found from its bytes."""

    content: bytes
    name: str = ""


class Body(msgspec.Struct, frozen=True):
    """The body of one call."""

    message_id: str
    customer: Customer
    text: str = ""
    language: str = ""
    labels: dict[str, str] = {}
    sent_at: datetime | None = None
    left: bool = False
    files: list[File] = []


def parse_call(raw: bytes) -> Parsed:
    """Parse the message of a call."""
    outcome = _call(raw)
    return Parsed(messages=(outcome,)) if isinstance(outcome, IncomingMessage) else Parsed(refused=(outcome,))


def _call(raw: bytes) -> IncomingMessage | Refusal:
    value = parse_json(raw)
    if isinstance(value, Refusal):
        return value
    refusal = unstorable(value) if may_be_unstorable(raw) else None
    if refusal is not None:
        return refusal
    body = shaped(value, Body)
    if isinstance(body, Refusal):
        return body
    refusal = wrong_fields(
        body.message_id,
        "message_id",
        body.customer.id,
        "customer.id",
        body.text,
        body.left or bool(body.files),
        body.labels,
    )
    if refusal is not None:
        return refusal
    if body.language and not language_code(body.language):
        return Refusal(Reason.INVALID_FIELD, "language", "must be a BCP 47 language such as fa or en-GB")
    if len(body.files) > MAX_FILES:
        return Refusal(Reason.INVALID_FIELD, "files", f"must not be more than {MAX_FILES}")
    if body.sent_at is not None and body.sent_at.tzinfo is None:
        return Refusal(Reason.INVALID_FIELD, "sent_at", "must have a time zone, as in 2026-03-21T08:30:00Z")
    return IncomingMessage(
        native_id=body.customer.id,
        native_message_id=body.message_id,
        text=body.text,
        kind=kind_of(body.text, bool(body.files)),
        attachments=attached((each.name, each.content) for each in body.files),
        display_name=clean_name(body.customer.name),
        language=body.language,
        sent_at_ms=int(body.sent_at.timestamp() * 1000) if body.sent_at is not None else 0,
        labels=body.labels,
        reply_context={"customer_id": body.customer.id, "message_id": body.message_id},
        customer_left=body.left,
    )


def kind_of(text: str, files: bool) -> MessageKind:
    """Return the kind of a message with this text, and with files or without."""
    if text:
        return MessageKind.TEXT
    return MessageKind.ATTACHMENT if files else MessageKind.SYSTEM


def attached(files: Iterable[tuple[str, bytes]]) -> tuple[IncomingAttachment, ...]:
    """Return files by name and content as attachments."""
    return tuple(
        IncomingAttachment("", clean_file_name(name), len(content), content=content) for name, content in files
    )


def wrong_fields(
    message_id: str,
    message_field: str,
    customer_id: str,
    customer_field: str,
    text: str,
    textless: bool,
    labels: dict[str, str],
) -> Refusal | None:
    """Return the refusal of fields that the webhook and gRPC's Submit check in the same way, or None. `textless`: the
    message needs no text."""
    for field, value in ((message_field, message_id), (customer_field, customer_id)):
        if not value.strip():
            return Refusal(Reason.INVALID_FIELD, field, "must not be empty")
        if len(value) > MAX_ID:
            return Refusal(Reason.INVALID_FIELD, field, f"must not be longer than {MAX_ID} characters")
    if not text.strip() and not textless:
        return Refusal(Reason.INVALID_FIELD, "text", "must not be empty")
    if len(labels) > MAX_LABELS:
        return Refusal(Reason.INVALID_FIELD, "labels", f"must not be more than {MAX_LABELS}")
    if any(not key or len(key) > MAX_LABEL or len(value) > MAX_LABEL for key, value in labels.items()):
        return Refusal(Reason.INVALID_FIELD, "labels", f"must have names and values of at most {MAX_LABEL} characters")
    return None
