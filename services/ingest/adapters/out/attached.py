"""The files of a reply while it is sent: read from the store, checked, and held in memory within a budget.

A file that was erased, or that is not the one that the reply names, is never sent. A store that can't be reached is tried
again: nothing has left.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.files.places import FilePlace
from services.ingest.domain.messages import Attachment
from services.ingest.domain.reasons import Reason
from services.ingest.domain.retry_classes import PartResult
from services.ingest.ports import Files

_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class OutFile:
    """A file, ready to be sent."""

    place: FilePlace
    name: str
    content_type: str
    sha256: str
    content: bytes


class NotSendable(Exception):  # noqa: N818 - the name reads as what happened
    """The files can't be sent now, or never. Nothing has left."""

    def __init__(self, result: PartResult) -> None:
        super().__init__(result.reason)
        self.result = result


class AttachedFiles:
    """Reads the files of replies."""

    def __init__(self, files: Files, at_once: int = _AT_ONCE) -> None:
        """`at_once`: messages with files whose bytes are in memory at the same time."""
        self._files = files
        self._places = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def of(self, tenant: str, attachments: Sequence[Attachment]) -> AsyncIterator[tuple[OutFile, ...]]:
        """Yield the files of one message. Raises NotSendable before it yields."""
        if not attachments:
            yield ()
            return
        async with self._places:
            yield tuple([await self._read(tenant, each) for each in attachments])

    async def _read(self, tenant: str, named: Attachment) -> OutFile:
        place = FilePlace(tenant, named.owner_id, named.file_id)
        content, digest = bytearray(), hashlib.sha256()
        try:
            opened = await self._files.open(place)
            async for piece in opened.pieces:
                content += piece
                digest.update(piece)
                if len(content) > named.size:
                    break
        except ChaparError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                raise NotSendable(PartResult(outcome=Outcome.REJECTED, reason=Reason.FILE_GONE)) from error
            raise NotSendable(PartResult(outcome=Outcome.RETRY, reason=error.reason)) from error
        same = len(content) == named.size and digest.hexdigest() == named.sha256
        if not same or (opened.name, opened.content_type) != (named.name, named.content_type):
            raise NotSendable(PartResult(outcome=Outcome.REJECTED, reason=Reason.FILE_OF_OTHERS))
        return OutFile(place, opened.name, opened.content_type, named.sha256, bytes(content))
