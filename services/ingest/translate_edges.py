"""Edges' messages to records: here ids are derived and nothing else is decided.

`identity_id = derive(tenant, channel, account, native_id)`; `message_id = derive(identity_id, native_message_id, revision)`:
a provider's retry gives the same, whichever replica takes it.
"""

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.ingest.domain.normalise.language import detect
from services.ingest.domain.normalise.message import IncomingMessage, Kind
from services.ingest.ports import Account

_KINDS = {
    Kind.TEXT: records_pb2.MESSAGE_KIND_TEXT,
    Kind.ATTACHMENT: records_pb2.MESSAGE_KIND_ATTACHMENT,
    Kind.REACTION: records_pb2.MESSAGE_KIND_REACTION,
    Kind.BUTTON: records_pb2.MESSAGE_KIND_BUTTON,
    Kind.SYSTEM: records_pb2.MESSAGE_KIND_SYSTEM,
}
_INT64 = 2**63 - 1


def identity_id_of(account: Account, native_id: str) -> str:
    """The id of the identity with this native id on this account."""
    return derive(account.tenant, account.channel, account.account, native_id)


def message_id_of(identity_id: str, native_message_id: str, revision: int) -> str:
    """The id of a message: a retry has the same."""
    return derive(identity_id, native_message_id, str(revision))


def inbound_record(account: Account, message: IncomingMessage, now_ms: int) -> records_pb2.InboundRecord:
    """The record for inbound.v1, to be keyed by its identity_id."""
    identity_id = identity_id_of(account, message.native_id)
    language = detect(message.text, message.language or account.default_language) if message.text else message.language
    return records_pb2.InboundRecord(
        tenant=account.tenant,
        message=records_pb2.CustomerMessage(
            message_id=message_id_of(identity_id, message.native_message_id, message.revision),
            identity=records_pb2.Identity(
                identity_id=identity_id,
                tenant=account.tenant,
                channel=account.channel,
                account=account.account,
                native_id=message.native_id,
                display_name=message.display_name,
                verified=message.verified,
            ),
            native_message_id=message.native_message_id,
            revision=message.revision,
            kind=_KINDS[message.kind],
            text=message.text,
            attachments=[
                records_pb2.Attachment(
                    content_type=each.content_type,
                    name=each.name,
                    size=min(each.size, _INT64),
                    reference=each.reference,
                )
                for each in message.attachments
            ],
            subject=message.subject,
            language=language or "und",
            sent_at_ms=max(0, min(message.sent_at_ms, _INT64)),
            received_at_ms=now_ms,
            in_reply_to=message.in_reply_to,
            reply_context=message.reply_context,
            labels=message.labels,
            no_auto_reply=message.no_auto_reply,
            raw=message.raw,
            customer_left=message.customer_left,
        ),
    )


def chat_view(
    message: records_pb2.ConversationMessage, conversation_id: str, sequence: int, at_ms: int
) -> dict[str, object]:
    """A message as web chat's page gets it."""
    return {
        "type": "message",
        "conversation": conversation_id,
        "seq": sequence,
        "id": message.native_message_id if message.author_kind == 1 else message.message_id,
        "from": {1: "customer", 2: "agent", 3: "agent"}.get(message.author_kind, "system"),
        "text": message.text,
        "language": message.language,
        "at": at_ms,
    }
