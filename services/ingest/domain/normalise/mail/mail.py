"""Parses a mail into a customer's message. Never raises: an authentic mail that can't be read is kept as its raw bytes.

Native ids: the sender is the From address (the envelope's if From is ambiguous or missing). The message is its
Message-ID, or a hash of its bytes if it has none. Nothing proves a sender here (neither DKIM nor SPF is checked), so
`verified` is false. The sender lane needs for an answer: `message_id`, `references`, `to` (our address).
"""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from services.ingest.domain.automatic import Automatic, BounceReport
from services.ingest.domain.normalise.language import detect
from services.ingest.domain.normalise.mail.automatic import Body, classify
from services.ingest.domain.normalise.mail.body import Content, read
from services.ingest.domain.normalise.mail.bounces import bounce_report
from services.ingest.domain.normalise.mail.dates import sent_at_ms
from services.ingest.domain.normalise.mail.headers import (
    MAX_ADDRESS,
    Headers,
    Sender,
    canonical,
    envelope_address,
    message_ids,
    sender,
    split,
)
from services.ingest.domain.normalise.mail.mime import TooComplex, leaves
from services.ingest.domain.normalise.mail.readable import readable
from services.ingest.domain.normalise.mail.recipients import addresses
from services.ingest.domain.normalise.message import IncomingAttachment, IncomingMessage, MessageKind
from services.ingest.domain.normalise.text import clean_line, clean_name
from services.ingest.domain.reply_token import ReplyToken
from services.policy.model.automatic import AutomaticKind

MAX_RAW = 600_000
"""The maximum number of bytes kept of a mail that can't be read: the log takes no larger records."""
MAX_SUBJECT = 2000
TokenOf = Callable[[str], ReplyToken | None]
"""Returns what one of our own Message-IDs names; None for other ids."""


def parse_mail(
    raw: bytes, envelope_from: str, recipient: str, token_of: TokenOf, own_domain: str = ""
) -> IncomingMessage:
    """Return the message in a mail to one of our addresses."""
    return resolved(read_mail(raw, envelope_from, recipient, own_domain), token_of)


def read_mail(
    raw: bytes, envelope_from: str, recipient: str, own_domain: str = "", language: str = ""
) -> IncomingMessage:
    """Return the message in a mail, without the steps that need a secret. This is the expensive step: it runs in a worker.

    `language`: the account's, which decides between charsets when the mail names none.
    """
    headers, body = split(raw)
    content: Content | None = None
    with contextlib.suppress(TooComplex):
        content = read(headers, body, language)
    message = _message(raw, headers, content, envelope_address(envelope_from), recipient, own_domain)
    if message.automatic.kind is AutomaticKind.BOUNCE and content is not None:
        report = bounce_report(headers, leaves(headers, body)[0])
        message = replace(message, automatic=replace(message.automatic, bounce=report))
    return message


def unread_mail(raw: bytes, envelope_from: str, recipient: str) -> IncomingMessage:
    """Return a message for a mail that no worker could read: nothing is decoded, the sender is the envelope's, the
    bytes are kept."""
    address = envelope_address(envelope_from)[:MAX_ADDRESS].lower()
    labels = {"unparsed": "true", **({"raw_cut": "true"} if len(raw) > MAX_RAW else {})}
    return IncomingMessage(
        native_id=address or "unknown@invalid",
        native_message_id=f"sha256:{hashlib.sha256(raw).hexdigest()}",
        verified=False,
        reply_context={"to": recipient},
        labels=labels,
        no_auto_reply=True,  # whether the mail is automatic cannot be known
        raw=raw[:MAX_RAW],
    )


def resolved(message: IncomingMessage, token_of: TokenOf) -> IncomingMessage:
    """Return the message with the conversation that it answers, by the newest of the Message-IDs that are ours."""
    labels = dict(message.labels)
    origin = message.origin
    automatic = message.automatic
    if token_of(message.native_message_id) is not None:
        automatic = Automatic(AutomaticKind.OWN, ("own_message_id",))
    failed = automatic.bounce.message_id if automatic.bounce is not None else ""
    answered = (failed, message.in_reply_to, *reversed(message.reply_context.get("references", "").split(" ")))
    found = (token_of(each) for each in answered if each)
    token = next((each for each in found if each is not None), None)
    if token is not None:
        labels["in_reply_to_conversation"] = token.conversation_id
        origin = replace(origin, conversation_id=token.conversation_id, owner=token.identity_id)
    if automatic.bounce is not None:
        automatic = replace(automatic, bounce=_proven(automatic.bounce, token_of))
    return replace(message, labels=labels, automatic=automatic, origin=origin)


def _proven(report: BounceReport, token_of: TokenOf) -> BounceReport:
    """Return the report with the conversation of the mail that failed. A Message-ID that is not ours names no delivery."""
    token = token_of(report.message_id) if report.message_id else None
    if token is None:
        return replace(report, delivery="")
    return replace(report, conversation_id=token.conversation_id)


def _message(
    raw: bytes,
    headers: Headers,
    content: Content | None,
    envelope_from: str,
    recipient: str,
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
    if content is None:
        labels["unparsed"] = "true"
        if len(raw) > MAX_RAW:
            labels["raw_cut"] = "true"
    elif content.cut:
        labels["parts_cut"] = "true"
    text = content.text if content is not None else ""
    attachments = content.attachments if content is not None else ()
    subject = clean_line(headers.text("subject"), MAX_SUBJECT)
    split_text = readable(text, subject)
    said = Body(text, split_text.new, {each.content_type for each in attachments})
    content_type = content.content_type if content is not None else ""
    automatic = classify(headers, envelope_from, address, content_type, recipient, own_domain, said)
    wanted = _wanted(headers, address)
    return IncomingMessage(
        native_id=address or "unknown@invalid",
        native_message_id=ids[0] if ids else f"sha256:{hashlib.sha256(raw).hexdigest()}",
        text=text,
        kind=MessageKind.ATTACHMENT if attachments and not text.strip() else MessageKind.TEXT,
        display_name=clean_name(who.name),
        verified=False,
        subject=subject,
        language=detect(split_text.new or text) if text else "",
        text_parts=split_text.folds,
        sent_at_ms=sent_at_ms(headers.text("date")),
        in_reply_to=answered[-1] if answered else (references[-1] if references else ""),
        attachments=attachments,
        reply_context=_context(ids, references, recipient),
        labels=labels,
        automatic=automatic,
        no_auto_reply=not address,
        raw=b"" if content is not None else raw[:MAX_RAW],
        answer_to=canonical(wanted.address) if wanted is not None else "",
        answer_to_name=clean_name(wanted.name) if wanted is not None else "",
        to=addresses(headers, "to"),
        cc=addresses(headers, "cc"),
        digest=_digest(raw if content is None else b"", subject, text, attachments),
    )


def _digest(raw: bytes, subject: str, text: str, attachments: Sequence[IncomingAttachment]) -> str:
    """Return a digest of what the sender wrote: a mail that comes twice by different ways has the same one."""
    found = hashlib.sha256(raw)
    for each in (subject, text, *(f"{each.name}/{each.size}" for each in attachments)):
        written = each.encode("utf-8", "surrogatepass")
        found.update(b"%d:" % len(written) + written)
    return found.hexdigest()[:32]


def _wanted(headers: Headers, address: str) -> Sender | None:
    """Return the sender that Reply-To names, if it is one address and not the author's."""
    values = headers.raw("reply-to")
    if len(values) != 1:
        return None
    found = sender(values[0], "")
    if not found.address or found.ambiguous or canonical(found.address) == address:
        return None
    return found


def _context(ids: list[str], references: list[str], recipient: str) -> dict[str, str]:
    context = {"to": recipient}
    if ids:
        context["message_id"] = ids[0]
    if references:
        context["references"] = " ".join(references)
    return context
