"""The files of messages for people: a table, and links with which they can be downloaded."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.cli.message_lines import file_line

STORED = records_pb2.ATTACHMENT_STATE_STORED


def files_of(message: records_pb2.ConversationMessage) -> Iterator[records_pb2.Attachment]:
    """Yield the attachments of a message, then the message as it arrived, if that was kept."""
    yield from message.attachments
    if message.HasField("original"):
        yield message.original


async def file_link(
    ingest: ingest_pb2_grpc.IngestServiceAsyncStub, conversation_id: str, message_id: str, file_id: str
) -> ingest_pb2.GetFileLinkResponse:
    """Return a link to a file."""
    return await ingest.GetFileLink(
        ingest_pb2.GetFileLinkRequest(conversation_id=conversation_id, message_id=message_id, file_id=file_id)
    )


class DeskFiles:
    """The files of the newest message with files of each interaction at a desk."""

    def __init__(self, ingest: ingest_pb2_grpc.IngestServiceAsyncStub) -> None:
        self._ingest = ingest
        self._newest: dict[int, tuple[str, records_pb2.ConversationMessage]] = {}

    def seen(self, number: int, conversation_id: str, message: records_pb2.ConversationMessage) -> bool:
        """Remember a message's files; return whether it has one that can be downloaded."""
        if not any(each.state == STORED for each in message.attachments):
            return False
        self._newest[number] = conversation_id, message
        return True

    def forget(self, number: int) -> None:
        """Forget the files of an interaction that is over."""
        self._newest.pop(number, None)

    async def lines(self, number: int) -> list[str]:
        """Return a line with a link for each file of the newest message with files."""
        if number not in self._newest:
            return ["no file can be downloaded"]
        conversation_id, message = self._newest[number]
        found: list[str] = []
        for each in files_of(message):
            if each.state == STORED:
                try:
                    answer = await file_link(self._ingest, conversation_id, message.message_id, each.file_id)
                    found.append(f"{file_line(each)}: {answer.url}")
                except grpc.aio.AioRpcError as error:
                    found.append(f"{file_line(each)}: {error.details()}")
        return found
