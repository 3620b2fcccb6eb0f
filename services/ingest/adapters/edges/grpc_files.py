"""`IngestService.GetFileLink`: a link to a file of a conversation that the caller may read."""

from dataclasses import replace

from chapar.ingest.v1 import ingest_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.edges.grpc_checks import raise_for, required
from services.ingest.adapters.files.links import FileLinks
from services.ingest.domain.files.places import FilePlace, Folder
from services.ingest.domain.reach import Reach
from services.ingest.domain.reasons import Reason
from services.ingest.ports import History, Thumbnails


class FileLinker:
    """Gives links to files. `thumbnails`: None when this installation makes none."""

    def __init__(self, links: FileLinks, thumbnails: Thumbnails | None = None) -> None:
        self._links = links
        self._thumbnails = thumbnails

    async def link(
        self, history: History, reach: Reach, request: ingest_pb2.GetFileLinkRequest
    ) -> ingest_pb2.GetFileLinkResponse:
        """Return the link. Raises NOT_FOUND, also outside the caller's reach; FAILED_PRECONDITION when there are
        no bytes; UNAVAILABLE when a thumbnail can't be made now."""
        raise_for(
            (
                required("conversation_id", request.conversation_id),
                required("message_id", request.message_id),
                required("file_id", request.file_id),
            )
        )
        found = await history.file(reach, request.conversation_id, request.message_id, request.file_id)
        if found.place is None:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION, Reason.FILE_NOT_STORED, "the file was refused, or it is not fetched yet"
            )
        if found.place.folder is Folder.THUMBNAILS:
            await self._have_made(found.place)
        url, expires_at_ms = self._links.url(found.place)
        answer = ingest_pb2.GetFileLinkResponse(url=url, attachment=found.attachment)
        answer.expires_at.FromMilliseconds(expires_at_ms)
        return answer

    async def _have_made(self, thumbnail: FilePlace) -> None:
        image = replace(thumbnail, folder=Folder.FILES)
        if self._thumbnails is None or not await self._thumbnails.exists(image):
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION, Reason.NO_THUMBNAIL, "there can't be a thumbnail of this image"
            )
