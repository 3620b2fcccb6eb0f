"""A mail as a customer's message. Never raises: an authentic mail that can't be read is kept as its raw bytes.

Native ids: the sender is the From address (the envelope's where From is ambiguous or missing), the message its Message-ID, or
a hash of its bytes where it has none. Nothing proves a sender here (neither DKIM nor SPF is checked): `verified` is false.
What the sender lane needs to answer: `reply_to` (when it differs), `message_id`, `references`, `to`.
"""

import hashlib
from collections.abc import Callable
from email.errors import MessageError

from services.ingest.domain.normalise.language import detect
from services.ingest.domain.normalise.mail.automatic import why_automatic
from services.ingest.domain.normalise.mail.body import Content, TooComplex, read
from services.ingest.domain.normalise.mail.headers import Headers, canonical, message_ids, sender, split
from services.ingest.domain.normalise.message import IncomingMessage, Kind
from services.ingest.domain.normalise.text import clean_line, clean_name

MAX_RAW = 600_000
"""Of a mail that can't be read, so many bytes are kept: the log takes no larger records."""
MAX_SUBJECT = 2000
ConversationOf = Callable[[str], str | None]
"""The conversation that one of our own Message-IDs names; None for others."""


def parse_mail(
    raw: bytes, envelope_from: str, recipient: str, conversation_of: ConversationOf, own_domain: str = ""
) -> IncomingMessage:
    """The message in a mail for one of our addresses."""
    headers, body = split(raw)
    try:
        content: Content | None = read(headers, body)
    except (
        TooComplex,
        RecursionError,
        MessageError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        IndexError,
        KeyError,
    ):
        # Everything that the standard library's parser has been seen to raise for hostile mail.
        content = None
    return _message(raw, headers, content, envelope_from, recipient, conversation_of, own_domain)


def unread_mail(raw: bytes, envelope_from: str, recipient: str) -> IncomingMessage:
    """A mail whose parsing took too long: headers only, and the raw bytes."""
    headers, _ = split(raw)
    return _message(raw, headers, None, envelope_from, recipient, lambda _: None, "")


def _message(
    raw: bytes,
    headers: Headers,
    content: Content | None,
    envelope_from: str,
    recipient: str,
    conversation_of: ConversationOf,
    own_domain: str,
) -> IncomingMessage:
    values = headers.raw("from")
    who = sender(values[0] if len(values) == 1 else b"", envelope_from)
    address = canonical(who.address) if who.address else ""
    ids = message_ids(headers.text("message-id"))
    answered = message_ids(headers.text("in-reply-to"))
    references = message_ids(headers.text("references"))
    labels: dict[str, str] = {}
    if who.ambiguous or len(values) != 1:
        labels["ambiguous_from"] = "true"
    automatic = why_automatic(headers, envelope_from, address, content.content_type if content else "", own_domain)
    if not automatic and ids and conversation_of(ids[0]) is not None:
        automatic = "own_message_id"
    if automatic:
        labels["automatic"] = automatic
    conversation = next(
        (found for found in map(conversation_of, [*reversed(answered), *reversed(references)]) if found is not None),
        None,
    )
    if conversation is not None:
        labels["in_reply_to_conversation"] = conversation
    if content is None:
        labels["unparsed"] = "true"
        if len(raw) > MAX_RAW:
            labels["raw_cut"] = "true"
    elif content.cut:
        labels["parts_cut"] = "true"
    text = content.text if content is not None else ""
    attachments = content.attachments if content is not None else ()
    return IncomingMessage(
        native_id=address or "unknown@invalid",
        native_message_id=ids[0] if ids else f"sha256:{hashlib.sha256(raw).hexdigest()}",
        text=text,
        kind=Kind.ATTACHMENT if attachments and not text.strip() else Kind.TEXT,
        display_name=clean_name(who.name),
        verified=False,
        subject=clean_line(headers.text("subject"), MAX_SUBJECT),
        language=detect(text) if text else "",
        in_reply_to=answered[-1] if answered else (references[-1] if references else ""),
        attachments=attachments,
        reply_context=_context(headers, address, ids, references, recipient),
        labels=labels,
        no_auto_reply=bool(automatic) or not address,
        raw=b"" if content is not None else raw[:MAX_RAW],
    )


def _context(headers: Headers, address: str, ids: list[str], references: list[str], recipient: str) -> dict[str, str]:
    context = {"to": recipient}
    if ids:
        context["message_id"] = ids[0]
    if references:
        context["references"] = " ".join(references)
    wanted = headers.raw("reply-to")
    if len(wanted) == 1:
        reply_to = sender(wanted[0], "")
        if reply_to.address and not reply_to.ambiguous and canonical(reply_to.address) != address:
            context["reply_to"] = canonical(reply_to.address)
    return context
