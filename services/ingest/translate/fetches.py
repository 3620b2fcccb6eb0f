"""Converts between files that are to be fetched and the records about them."""

from chapar.ingest.v1 import records_pb2
from services.ingest.domain import effects
from services.ingest.domain.messages import Derive
from services.ingest.translate.attachments import attachment_record


def fetch_record(effect: effects.FetchAsked, tenant: str) -> records_pb2.FileFetch:
    """Return the request to fetch a file."""
    where = effect.message.identity
    return records_pb2.FileFetch(
        tenant=tenant,
        conversation_id=effect.conversation_id,
        message_id=effect.message.message_id,
        interaction_id=effect.interaction_id,
        identity_id=where.identity_id,
        channel=where.channel,
        account=where.account,
        attachment=attachment_record(effect.attachment),
    )


def settled_record(
    fetch: records_pb2.FileFetch, file: records_pb2.Attachment, now_ms: int, derive: Derive
) -> records_pb2.ConversationRecord:
    """Return what the conversation keeps of a file that was fetched or given up. A repetition has the same id."""
    state = records_pb2.AttachmentState.Name(file.state)
    return records_pb2.ConversationRecord(
        event_id=derive("file", file.file_id, state, file.sha256 or str(file.refusal)),
        tenant=fetch.tenant,
        conversation_id=fetch.conversation_id,
        identity_id=fetch.identity_id,
        occurred_at_ms=now_ms,
        file_settled=records_pb2.FileSettled(
            message_id=fetch.message_id, attachment=file, interaction_id=fetch.interaction_id
        ),
    )
