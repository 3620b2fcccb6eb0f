"""Converts attachments between records and the domain."""

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.ingest.domain.files.places import thumbnail_id_of
from services.ingest.domain.files.policy import FileRefusal, FileState
from services.ingest.domain.messages import Attachment
from services.ingest.domain.normalise.message import IncomingAttachment

_INT64 = 2**63 - 1


def attachment(record: records_pb2.Attachment) -> Attachment:
    """Return the attachment of a record. Raises ValueError for a state or refusal that this version does not know."""
    return Attachment(
        record.content_type,
        record.name,
        record.size,
        record.reference,
        file_id=record.file_id,
        owner_id=record.owner_id,
        sha256=record.sha256,
        state=FileState(record.state),
        refusal=FileRefusal(record.refusal),
    )


def attachment_record(value: Attachment | IncomingAttachment) -> records_pb2.Attachment:
    """Return the record of an attachment."""
    record = records_pb2.Attachment(
        content_type=value.content_type,
        name=value.name,
        size=min(value.size, _INT64),
        reference=value.reference,
        file_id=value.file_id,
        owner_id=value.owner_id,
        sha256=value.sha256,
        state=records_pb2.AttachmentState.ValueType(value.state),
        refusal=records_pb2.AttachmentRefusal.ValueType(value.refusal),
    )
    name_thumbnail(record)
    return record


def name_thumbnail(record: records_pb2.Attachment) -> None:
    """Set the id of the thumbnail, if the file is stored and is an image that has one."""
    if record.state == records_pb2.ATTACHMENT_STATE_STORED:
        record.thumbnail_id = thumbnail_id_of(derive, record.file_id, record.content_type)
