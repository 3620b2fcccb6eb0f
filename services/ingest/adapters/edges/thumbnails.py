"""Makes the thumbnail of a stored image when its link is asked for first, and keeps it beside the image.

So an image that no agent looks at costs nothing, and no message waits. An image of which there can't be one gets an empty
file in the place of its thumbnail, so that it is not decoded again.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from services.chassis.errors import ChaparError
from services.chassis.kafka.shared_answer import retrieved
from services.chassis.metrics import Metrics
from services.chassis.privacy.sealing import DataKey
from services.ingest.adapters.edges.thumbnail_process import ThumbnailProcess
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.small_image import SmallImage
from services.ingest.domain.files.places import FilePlace
from services.ingest.domain.reasons import Reason

_MOST_BYTES: Final = 32 << 20
"""A larger image has no thumbnail: all of it is in memory for a moment."""
_NONE: Final = SmallImage("", b"")


class Thumbnails:
    """Implements `ports.Thumbnails`."""

    def __init__(self, files: SealedFiles, process: ThumbnailProcess, metrics: Metrics) -> None:
        self._files = files
        self._process = process
        self._total = metrics.counter("chapar_thumbnails_total")

    async def exists(self, image: FilePlace) -> bool:
        """See `ports.Thumbnails.exists`."""
        thumbnail = image.thumbnail
        known = await self._known(thumbnail)
        if known is not None:
            return known
        async with self._process.turn(image.tenant) as ask:
            known = await self._known(thumbnail)  # an earlier turn may have made it
            if known is not None:
                return known
            # The key is taken first. If the owner is erased from now on, the thumbnail cannot be read, wherever it remains.
            key = await self._files.key_of(image)
            opened = await self._files.open(image)
            if opened.size > _MOST_BYTES:
                return False
            small = await ask(b"".join([piece async for piece in opened.pieces]))
            if not await _to_the_end(self._kept(image, small or _NONE, key)):
                return False
        self._total.labels("made" if small is not None else "none").inc()
        return small is not None

    async def _kept(self, image: FilePlace, small: SmallImage, key: DataKey) -> bool:
        """Keep a thumbnail and return True; or False when its image was erased or expired while it was made. A
        deletion of an image deletes its thumbnail last; so either it finds this one, or this check finds no image."""
        await self._files.keep_made(image.thumbnail, small.content_type, small.content, key)
        if await self._files.has(image):
            return True
        await self._files.remove(image.thumbnail)
        return False

    async def _known(self, thumbnail: FilePlace) -> bool | None:
        """Return whether there is one; None when none was made yet."""
        try:
            return (await self._files.open(thumbnail)).size > 0
        except ChaparError as error:
            if error.reason != Reason.FILE_GONE:
                raise
            return None


async def _to_the_end(keeping: Coroutine[Any, Any, bool]) -> bool:
    """Return the result. A caller that is cancelled waits too, because a thumbnail must not be kept without the check."""
    task = asyncio.ensure_future(keeping)
    task.add_done_callback(retrieved)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
