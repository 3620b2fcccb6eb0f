"""Downloads of files by signed link: `GET /files/{token}`.

A browser saves the file and never shows it as a page of this host: the response is an attachment, its type is not
guessed, and its policy is a sandbox without rights. Only thumbnails, which Chapar has made itself, can be shown inline.
"""

from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.chassis.errors import ChaparError, ErrorKind, problem
from services.ingest.adapters.edges.http_answers import problem_response
from services.ingest.adapters.files.links import FileLinks
from services.ingest.domain.files.places import Folder
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Files

_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "private, no-store",
    "cross-origin-resource-policy": "cross-origin",
}
_USUAL_NAME: Final = "file"


class FileDownloads:
    """Serves files; see the module's docstring."""

    def __init__(self, files: Files, links: FileLinks) -> None:
        self._files = files
        self._links = links

    async def __call__(self, request: Request) -> Response:
        """Serve one file. A link that is not ours, one that has expired and a file that is gone have the same answer."""
        place = self._links.read(request.path_params["token"])
        try:
            if place is None:
                raise ChaparError(ErrorKind.NOT_FOUND, Reason.FILE_GONE, "the link has expired, or the file is gone")
            file = await self._files.open(place)
        except ChaparError as error:
            return problem_response(problem(error))
        shown = "inline" if place.folder is Folder.THUMBNAILS else "attachment"
        headers = {
            **_HEADERS,
            "content-disposition": f"{shown}; filename*=UTF-8''{quote(file.name or _USUAL_NAME, safe='')}",
            "content-length": str(file.size),
        }
        # A head is answered by the same route; its body is not sent.
        pieces = file.pieces if request.method == "GET" else _nothing()
        return StreamingResponse(pieces, media_type=_media_type(file.content_type), headers=headers)


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece


def _media_type(content_type: str) -> str:
    """Return the type for the header. A text has no charset here: it is not known."""
    return "application/octet-stream" if content_type.startswith("text/") else content_type
