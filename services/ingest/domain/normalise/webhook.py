"""The generic signed webhook's own body, documented for callers in docs/api.md.

{"message_id": "…",                      required, 1 to 200 characters: the caller's id; the same id again is a duplicate
 "customer": {"id": "…", "name": "…"},   id required, 1 to 200 characters
 "text": "…",                            required, unless "left" is true
 "language": "fa",                       BCP 47, optional
 "labels": {"tier": "gold"},             up to 20, optional
 "sent_at": "2026-03-21T08:30:00Z",      RFC 3339 with a zone, optional
 "left": false}                          true when the customer has gone, optional
"""

from datetime import datetime

import msgspec

from services.ingest.domain.normalise.json_body import may_be_unstorable, parse_json, shaped, unstorable
from services.ingest.domain.normalise.language import language_code
from services.ingest.domain.normalise.message import IncomingMessage, MessageKind, Parsed, Refusal
from services.ingest.domain.normalise.text import clean_name
from services.ingest.domain.reasons import Reason

MAX_ID = 200
MAX_LABELS = 20
MAX_LABEL = 100


class Customer(msgspec.Struct, frozen=True):
    """The sender of the message."""

    id: str
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
        body.message_id, "message_id", body.customer.id, "customer.id", body.text, body.left, body.labels
    )
    if refusal is not None:
        return refusal
    if body.language and not language_code(body.language):
        return Refusal(Reason.INVALID_FIELD, "language", "must be a BCP 47 language such as fa or en-GB")
    if body.sent_at is not None and body.sent_at.tzinfo is None:
        return Refusal(Reason.INVALID_FIELD, "sent_at", "must have a time zone, as in 2026-03-21T08:30:00Z")
    return IncomingMessage(
        native_id=body.customer.id,
        native_message_id=body.message_id,
        text=body.text,
        kind=MessageKind.TEXT if body.text else MessageKind.SYSTEM,
        display_name=clean_name(body.customer.name),
        language=body.language,
        sent_at_ms=int(body.sent_at.timestamp() * 1000) if body.sent_at is not None else 0,
        labels=body.labels,
        reply_context={"customer_id": body.customer.id, "message_id": body.message_id},
        customer_left=body.left,
    )


def wrong_fields(
    message_id: str,
    message_field: str,
    customer_id: str,
    customer_field: str,
    text: str,
    left: bool,
    labels: dict[str, str],
) -> Refusal | None:
    """Return the refusal of fields that the webhook and gRPC's Submit check in the same way, or None."""
    for field, value in ((message_field, message_id), (customer_field, customer_id)):
        if not value.strip():
            return Refusal(Reason.INVALID_FIELD, field, "must not be empty")
        if len(value) > MAX_ID:
            return Refusal(Reason.INVALID_FIELD, field, f"must not be longer than {MAX_ID} characters")
    if not text.strip() and not left:
        return Refusal(Reason.INVALID_FIELD, "text", "must not be empty")
    if len(labels) > MAX_LABELS:
        return Refusal(Reason.INVALID_FIELD, "labels", f"must not be more than {MAX_LABELS}")
    if any(not key or len(key) > MAX_LABEL or len(value) > MAX_LABEL for key, value in labels.items()):
        return Refusal(Reason.INVALID_FIELD, "labels", f"must have names and values of at most {MAX_LABEL} characters")
    return None
