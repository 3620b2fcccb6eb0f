"""The contract of `ports.FileStore`, for a directory, a store in memory and the fake. Buckets are served by the same adapter."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.chassis.clock import system_clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.metrics import Metrics
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.files.places import FilePlace, Folder, prefixes_of
from services.ingest.domain.reasons import Reason
from services.ingest.metrics import METRICS
from services.ingest.ports import FileStore
from tests.fakes.files import MemoryFiles

PLACE = FilePlace("acme", "identity-1", "file-1")


@pytest.fixture(params=["directory", "memory", "fake"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    if request.param == "fake":
        return MemoryFiles(system_clock)
    metrics = Metrics()
    metrics.declare(METRICS)
    return file_store("" if request.param == "directory" else "memory:///", str(tmp_path), metrics)


async def content(store: FileStore, key: str) -> bytes:
    """All bytes under the key."""
    found = await store.get(key)
    whole = b"".join([piece async for piece in found.pieces])
    assert len(whole) == found.size
    return whole


async def pieces(*parts: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    """The parts, then the error."""
    for part in parts:
        yield part
    if error is not None:
        raise error


async def test_what_is_put_is_got(store: FileStore) -> None:
    """Bytes come back as they were put, and the newest put counts."""
    await store.put(PLACE.key, b"first")
    await store.put(PLACE.key, b"second")
    assert await content(store, PLACE.key) == b"second"


async def test_an_empty_file_is_a_file(store: FileStore) -> None:
    """No bytes are bytes too."""
    await store.put(PLACE.key, b"")
    assert await content(store, PLACE.key) == b""


async def test_pieces_become_one_file(store: FileStore) -> None:
    """A file that comes in pieces, more than fit in one part of an upload."""
    part = os.urandom(1 << 20)
    await store.put(PLACE.key, pieces(*[part] * 12, b"end"))
    assert await content(store, PLACE.key) == part * 12 + b"end"


async def test_of_a_file_that_breaks_off_nothing_is_stored(store: FileStore) -> None:
    """The error of the source is raised as it is, and an earlier file under the key remains."""
    with pytest.raises(LookupError):
        await store.put(PLACE.key, pieces(os.urandom(6 << 20), error=LookupError("away")))
    with pytest.raises(ChaparError) as gone:
        await store.get(PLACE.key)
    assert (gone.value.kind, gone.value.reason) == (ErrorKind.NOT_FOUND, Reason.FILE_GONE)


async def test_of_a_cancelled_put_nothing_is_stored(store: FileStore) -> None:
    """A request that is cancelled while its file arrives leaves nothing behind."""
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            begun.set()
            yield bytes(1 << 16)
            await asyncio.sleep(0)

    putting = asyncio.create_task(store.put(PLACE.key, endless()))
    await begun.wait()
    putting.cancel()
    await asyncio.wait({putting})
    with pytest.raises(ChaparError) as gone:
        await store.get(PLACE.key)
    assert gone.value.reason == Reason.FILE_GONE


async def test_deleting_is_repeatable(store: FileStore) -> None:
    """A deleted file is gone, and can be deleted again."""
    await store.put(PLACE.key, b"x")
    await store.delete(PLACE.key)
    await store.delete(PLACE.key)
    with pytest.raises(ChaparError):
        await store.get(PLACE.key)


async def test_a_prefix_is_one_owner(store: FileStore) -> None:
    """Everything of the owner goes, with what is in quarantine; owners whose ids begin alike remain."""
    mine = [FilePlace("acme", "identity-1", "a"), FilePlace("acme", "identity-1", "b", Folder.QUARANTINE)]
    others = [FilePlace("acme", "identity-10", "a"), FilePlace("acme2", "identity-1", "a")]
    for place in mine + others:
        await store.put(place.key, b"x")
    assert sum([await store.delete_under(prefix) for prefix in prefixes_of("acme", "identity-1")]) == 2
    assert sum([await store.delete_under(prefix) for prefix in prefixes_of("acme", "identity-1")]) == 0
    assert [await content(store, place.key) for place in others] == [b"x", b"x"]


async def test_old_files_are_found(store: FileStore) -> None:
    """Files are old when they were written before the time."""
    await store.put(PLACE.key, b"x")
    assert [key async for key in store.older("files/", 4_102_444_800_000)] == [PLACE.key]
    assert [key async for key in store.older("files/", 1_000)] == []
