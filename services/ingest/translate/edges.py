"""Converts edges' messages to records. It derives ids and decides nothing else.

`identity_id = derive(tenant, channel, account, native_id)`; `message_id = derive(identity_id, native_message_id,
revision)`: a provider's retry gives the same id, whichever replica receives it.
"""

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.ingest.domain.messages import NO_WISHES, new_text
from services.ingest.domain.normalise.language import detect
from services.ingest.domain.normalise.message import IncomingMessage, MessageKind
from services.ingest.domain.normalise.placeholders import placeholder_text
from services.ingest.domain.origin import Origin
from services.ingest.ports import Account
from services.ingest.translate.attachments import attachment_record
from services.ingest.translate.automatic import automatic_record
from services.ingest.translate.text_parts import text_part_records

_KINDS = {
    MessageKind.TEXT: records_pb2.MESSAGE_KIND_TEXT,
    MessageKind.ATTACHMENT: records_pb2.MESSAGE_KIND_ATTACHMENT,
    MessageKind.REACTION: records_pb2.MESSAGE_KIND_REACTION,
    MessageKind.BUTTON: records_pb2.MESSAGE_KIND_BUTTON,
    MessageKind.SYSTEM: records_pb2.MESSAGE_KIND_SYSTEM,
}
_INT64 = 2**63 - 1


def identity_id_of(account: Account, native_id: str) -> str:
    """Return the id of the identity with this native id on this account."""
    return derive(account.tenant, account.channel, account.account, native_id)


def message_id_of(identity_id: str, native_message_id: str, revision: int) -> str:
    """Return the id of a message; a retry has the same id."""
    return derive(identity_id, native_message_id, str(revision))


def inbound_record(
    account: Account, message: IncomingMessage, now_ms: int, origin: Origin | None = None
) -> records_pb2.InboundRecord:
    """Return the record for inbound.v1; its key is its tenant and identity_id. `origin`: instead of the message's own."""
    identity_id = identity_id_of(account, message.native_id)
    language = message.language
    if message.text:
        own = new_text(message.text, message.text_parts) or message.text
        language = detect(own, language or account.default_language)
    # Set field by field: with keyword arguments protobuf takes three times as long, and this is the edges' hottest
    # code.
    record = records_pb2.InboundRecord()
    record.tenant = account.tenant
    made = record.message
    made.message_id = message_id_of(identity_id, message.native_message_id, message.revision)
    _identify(made.identity, account, message, identity_id)
    made.native_message_id = message.native_message_id
    made.kind = _KINDS[message.kind]
    made.text = message.text
    if message.content:
        language = _describe(made, message, language or account.default_language)
    if message.text_parts:
        made.text_parts.extend(text_part_records(message.text_parts))
    made.language = language or "und"
    made.received_at_ms = now_ms
    made.sent_at_ms = max(0, min(message.sent_at_ms, _INT64))
    if message.revision:
        made.revision = message.revision
    if message.subject:
        made.subject = message.subject
    if message.in_reply_to:
        made.in_reply_to = message.in_reply_to
    for key, value in message.reply_context.items():
        made.reply_context[key] = value
    for key, value in message.labels.items():
        made.labels[key] = value
    if message.attachments or message.original is not None:
        _attach(made, message)
    if message.no_auto_reply or message.automatic.silent:
        made.no_auto_reply = True
    if message.automatic.silent:
        made.automatic.CopyFrom(automatic_record(message.automatic))
    if message.raw:
        made.raw = message.raw
    _state_origin(made.origin, message.origin if origin is None else origin)
    if message.customer_left:
        made.customer_left = True
    if message.wishes != NO_WISHES:
        made.wishes.start_at_ms = message.wishes.start_at_ms
        made.wishes.due_at_ms = message.wishes.due_at_ms
        made.wishes.preferred_agent = message.wishes.preferred_agent
        made.wishes.preferred_team = message.wishes.preferred_team
    return record


def _describe(made: records_pb2.CustomerMessage, message: IncomingMessage, language: str) -> str:
    """Say what was sent besides a text. Returns the language, in which a placeholder is written."""
    made.content = message.content
    if message.deletes:
        made.deletes = message.deletes
    if message.placeholder:
        made.text = placeholder_text(message.content, language)
        made.placeholder = True
    return language


def _attach(made: records_pb2.CustomerMessage, message: IncomingMessage) -> None:
    made.attachments.extend(attachment_record(each) for each in message.attachments)
    if message.original is not None:
        made.original.CopyFrom(attachment_record(message.original))


def _state_origin(made: records_pb2.Origin, origin: Origin) -> None:
    made.proof = records_pb2.OriginProof.ValueType(origin.proof)
    made.evidence = origin.evidence
    made.conversation_id = origin.conversation_id
    made.author = origin.author
    made.reply_to = origin.reply_to


def _identify(made: records_pb2.Identity, account: Account, message: IncomingMessage, identity_id: str) -> None:
    made.identity_id = identity_id
    made.tenant = account.tenant
    made.channel = account.channel
    made.account = account.account
    made.native_id = message.native_id
    made.display_name = message.display_name
    made.verified = message.verified


def chat_view(
    message: records_pb2.ConversationMessage,
    conversation_id: str,
    sequence: int,
    at_ms: int,
    files: list[dict[str, object]],
) -> dict[str, object]:
    """Return a message as web chat's page gets it."""
    return {
        "type": "message",
        "conversation": conversation_id,
        "seq": sequence,
        "id": message.native_message_id if message.author_kind == 1 else message.message_id,
        "from": {1: "customer", 2: "agent", 3: "agent"}.get(message.author_kind, "system"),
        "text": message.text,
        "language": message.language,
        "at": at_ms,
        "files": files,
    }
