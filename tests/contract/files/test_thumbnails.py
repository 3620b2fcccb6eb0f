"""`ports.Thumbnails`, with the real process and a store in a directory."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from PIL import Image

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.metrics import Metrics
from services.ingest.adapters.edges.thumbnail_process import ThumbnailProcess, thumbnail_process
from services.ingest.adapters.edges.thumbnail_worker import Reply, Request
from services.ingest.adapters.edges.thumbnails import Thumbnails
from services.ingest.adapters.edges.worker_process import started
from services.ingest.adapters.files.retention import FileRetention
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.small_image import small_image
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.files.places import FilePlace, Folder
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.domain.reasons import Reason
from services.ingest.metrics import METRICS
from services.ingest.ports import FileStore, OpenedFile, StoredBytes
from tests.fakes.privacy import MemoryKeys
from tests.unit.ingest.files import images

IMAGE = FilePlace("acme", "identity-1", "file-1")
SMALL = FilePlace("acme", "identity-1", "file-1", Folder.THUMBNAILS)
PHOTO = images.encoded(images.two_halves())


class Kit:
    """Files in a directory, and what makes thumbnails of them."""

    def __init__(self, directory: Path, process: ThumbnailProcess) -> None:
        self.metrics = Metrics()
        self.metrics.declare(METRICS)
        self.directory = directory / "files"
        self.keys = MemoryKeys()
        self.process = process
        self.store: FileStore = file_store("", str(directory), self.metrics)
        self.files = SealedFiles(self.store, self.keys, FilePolicy())
        self.thumbnails = Thumbnails(self.files, process, self.metrics)

    async def asked(self, content: bytes) -> bool:
        """Whether an image with these bytes has a thumbnail."""
        await self.files.keep(IMAGE, "a.png", content)
        return await self.thumbnails.exists(IMAGE)

    def counted(self, outcome: str) -> float | None:
        return self.metrics.value("chapar_thumbnails_total", outcome)

    def stored(self) -> list[Path]:
        """All files but the marks of the retention."""
        return [each for each in self.directory.rglob("*") if each.is_file() and each.parent.name != "sweeps"]


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with thumbnail_process(3) as process:
        yield Kit(tmp_path, process)


async def whole(file: OpenedFile) -> bytes:
    """All bytes of the file."""
    return b"".join([piece async for piece in file.pieces])


async def test_a_thumbnail_is_made_once_and_kept_sealed(kit: Kit) -> None:
    """The first question makes it; later ones find it, without a process."""
    assert await kit.asked(PHOTO)
    opened = await kit.files.open(SMALL)
    content = await whole(opened)
    assert (opened.name, opened.content_type) == ("", "image/jpeg")
    assert images.read(content).size == (320, 160)
    assert len(kit.stored()) == 2
    assert all(content[100:164] not in each.read_bytes() for each in kit.stored())
    await kit.process.close()
    assert await kit.thumbnails.exists(IMAGE)
    assert (kit.process.pid, kit.counted("made")) == (None, 1)


async def test_questions_at_the_same_time_make_one(kit: Kit) -> None:
    """The others wait for the first."""
    await kit.files.keep(IMAGE, "a.png", PHOTO)
    assert await asyncio.gather(*(kit.thumbnails.exists(IMAGE) for _ in range(5))) == [True] * 5
    assert kit.counted("made") == 1


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0" + bytes(99), images.png_bomb(30_000, 30_000), PHOTO[:-400]])
async def test_an_image_that_cannot_be_made_small_is_decoded_once(kit: Kit, content: bytes) -> None:
    """The answer is kept: a bomb costs its time once, however often an agent asks."""
    assert not await kit.asked(content)
    await kit.process.close()
    assert not await kit.thumbnails.exists(IMAGE)
    assert (kit.process.pid, kit.counted("none")) == (None, 1)


async def test_an_image_that_takes_too_long_ends_its_process_only(tmp_path: Path) -> None:
    """The kernel ends it after its CPU time; the next image gets a new process."""
    async with thumbnail_process(0.01) as process:
        kit = Kit(tmp_path, process)
        assert not await kit.asked(images.encoded(Image.effect_noise((3_900, 3_900), 90), "PNG", compress_level=1))
        assert process.pid is None
    async with thumbnail_process(3) as process:
        kit = Kit(tmp_path / "other", process)
        assert await kit.asked(PHOTO)


async def test_an_image_that_needs_too_much_memory_has_none() -> None:
    """A progressive photo is in memory as a whole before it can be made small. Without the limit, this one could be made
    small; the process survives it and frees the memory."""
    content = images.encoded(Image.new("RGB", (8_900, 8_900)), "JPEG", progressive=True, subsampling=0)
    worker = await started("services.ingest.adapters.edges.thumbnail_worker", 20)
    try:
        replies = [
            msgspec.msgpack.decode(await worker.ask(msgspec.msgpack.encode(Request(each, 0))), type=Reply)
            for each in (content, PHOTO)
        ]
    finally:
        await worker.end()
    assert [reply.error for reply in replies] == ["OSError", ""]  # libjpeg's message for a lack of memory
    assert replies[1].image is not None
    assert images.read(small_image(content).content).size == (320, 320)


async def test_a_process_that_is_ended_from_outside_says_nothing_about_the_image(kit: Kit) -> None:
    """The agent may ask again, and then there is a thumbnail."""
    await kit.files.keep(IMAGE, "a.png", PHOTO)
    async with kit.process.turn("acme") as ask:
        assert await ask(PHOTO) is not None
        assert kit.process.pid is not None
        os.kill(kit.process.pid, signal.SIGKILL)
        with pytest.raises(ChaparError) as busy:
            await ask(PHOTO)
    assert busy.value.reason == Reason.THUMBNAILS_BUSY
    assert await kit.thumbnails.exists(IMAGE)


async def test_of_an_erased_person_there_is_none(kit: Kit) -> None:
    """Thumbnails go with the files, and none can be made afterwards."""
    assert await kit.asked(PHOTO)
    kit.keys.destroy("acme", "identity-1")
    with pytest.raises(ChaparError) as gone:
        await kit.thumbnails.exists(IMAGE)
    assert gone.value.reason == Reason.FILE_GONE
    assert await kit.files.forget("acme", "identity-1") == 2
    assert kit.stored() == []


async def test_a_tenant_with_too_many_questions_is_asked_to_wait(kit: Kit) -> None:
    """Others have their turns."""
    async with kit.process.turn("acme"):
        waiting = [asyncio.create_task(kit.thumbnails.exists(IMAGE)) for _ in range(65)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = done
        error = refused.exception()
        assert isinstance(error, ChaparError)
        assert error.reason == Reason.THUMBNAILS_BUSY
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)


class Interrupted:
    """Implements `ports.FileStore`: the store of the kit, which does something else before its n-th operation."""

    def __init__(self, store: FileStore, at: int, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self._store = store
        self._left = at
        self._meanwhile = meanwhile

    @property
    def was_reached(self) -> bool:
        """Return whether there was an n-th operation."""
        return self._left < 0

    async def _pass(self) -> None:
        self._left -= 1
        if self._left == -1:
            await self._meanwhile()

    async def put(self, key: str, content: bytes | AsyncIterator[bytes]) -> None:
        await self._pass()
        await self._store.put(key, content)

    async def get(self, key: str) -> StoredBytes:
        await self._pass()
        return await self._store.get(key)

    async def delete(self, key: str) -> None:
        await self._pass()
        await self._store.delete(key)

    async def delete_under(self, prefix: str) -> int:
        await self._pass()
        return await self._store.delete_under(prefix)

    async def older(self, prefix: str, before_ms: int) -> AsyncIterator[str]:
        await self._pass()
        async for key in self._store.older(prefix, before_ms):
            yield key
            await self._pass()


async def erased(kit: Kit, files: SealedFiles) -> None:
    """As an erasure does: the key, then the files."""
    kit.keys.destroy("acme", "identity-1")
    await files.forget("acme", "identity-1")


async def expired(_: Kit, files: SealedFiles) -> None:
    """Much later, the image is too old."""
    retention = FileRetention(files.store, {Folder.FILES: 400}, lambda: 4_102_444_800_000, OnlyShard())
    await retention.once()


class OnlyShard(Random):
    """Chooses the shard of the image."""

    def choice(self, seq: Any) -> Any:
        (shard,) = (each for each in seq if f"/{each}/" in IMAGE.key)
        return shard


FIRST = 3
"""The first operations of a sweep list marks, twice, and the folder."""
Deletion = Callable[[Kit, SealedFiles], Awaitable[None]]


@pytest.mark.parametrize("deletion", [erased, expired])
@pytest.mark.parametrize("inner", ["deletion", "making"])
async def test_whenever_an_image_is_deleted_no_thumbnail_remains(kit: Kit, deletion: Deletion, inner: str) -> None:
    """A whole deletion between any two operations of the making, and a whole making between any two operations of the
    deletion. A thumbnail that was made long after its image is deleted with it."""
    for at in range(100):
        await kit.files.keep(IMAGE, "a.png", PHOTO)

        async def meanwhile() -> None:
            if inner == "deletion":
                await deletion(kit, kit.files)
            else:
                await made(kit.thumbnails)

        store = Interrupted(kit.store, at, meanwhile)
        files = SealedFiles(store, kit.keys, FilePolicy())
        if inner == "deletion":
            await made(Thumbnails(files, kit.process, kit.metrics))
        else:
            await deletion(kit, files)
        if not store.was_reached:
            assert at >= 4  # all points were tried
            await deletion(kit, kit.files)
        assert kit.stored() == [], at
        if not store.was_reached:
            return
    raise AssertionError("the operation does not end")


async def made(thumbnails: Thumbnails) -> None:
    """Ask for the thumbnail; the image may be gone."""
    try:
        await thumbnails.exists(IMAGE)
    except ChaparError as error:
        assert error.reason == Reason.FILE_GONE  # noqa: PT017 - both ends are right


@pytest.mark.parametrize("at", range(3))
async def test_a_deletion_that_breaks_off_is_repeated_as_a_whole(kit: Kit, at: int) -> None:
    """The image is deleted after its thumbnail; so a later deletion finds what this one has left."""
    assert await kit.asked(PHOTO)

    async def ends() -> None:
        raise ChaparError(ErrorKind.UNAVAILABLE, Reason.FILES_AWAY, "the process ends")

    store = Interrupted(kit.store, at + FIRST, ends)
    with pytest.raises(ChaparError):
        await expired(kit, SealedFiles(store, kit.keys, FilePolicy()))
    await expired(kit, kit.files)
    assert kit.stored() == []


async def test_a_caller_that_disconnects_leaves_no_thumbnail_unchecked(kit: Kit) -> None:
    """The agent closes the window just when the thumbnail is written and the person is erased."""
    await kit.files.keep(IMAGE, "a.png", PHOTO)
    asking: asyncio.Task[bool]

    async def meanwhile() -> None:
        asking.cancel()
        await asyncio.sleep(0)
        await erased(kit, kit.files)

    store = Interrupted(kit.store, 3, meanwhile)  # it is not there, twice; the image; then it is written
    files = SealedFiles(store, kit.keys, FilePolicy())
    asking = asyncio.create_task(Thumbnails(files, kit.process, kit.metrics).exists(IMAGE))
    await asyncio.wait({asking})
    assert asking.cancelled()
    assert store.was_reached
    assert kit.stored() == []
