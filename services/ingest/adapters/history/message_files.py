"""Finds a file by its id among those that a message names."""

from collections.abc import Iterator

from chapar.ingest.v1 import records_pb2
from services.ingest.domain.files.places import FilePlace, Folder
from services.ingest.ports import FoundFile


def file_of(message: records_pb2.ConversationMessage, tenant: str, file_id: str) -> FoundFile | None:
    """Return the file with this id; None when the message names no such file."""
    for named, attachment, folder in _named(message):
        if named and named == file_id:
            stored = attachment.state == records_pb2.ATTACHMENT_STATE_STORED
            place = FilePlace(tenant, attachment.owner_id, attachment.file_id, folder)
            return FoundFile(attachment, place if stored else None)
    return None


def _named(message: records_pb2.ConversationMessage) -> Iterator[tuple[str, records_pb2.Attachment, Folder]]:
    for each in message.attachments:
        yield each.file_id, each, Folder.FILES
        yield each.thumbnail_id, each, Folder.THUMBNAILS
    yield message.original.file_id, message.original, Folder.ORIGINALS
