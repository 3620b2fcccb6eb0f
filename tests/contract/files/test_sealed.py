"""`ports.Files`: files are kept sealed, measured and within the policy."""

import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from services.chassis.clock import ManualClock
from services.chassis.errors import ChaparError
from services.chassis.metrics import Metrics
from services.ingest.adapters.files.retention import FileRetention
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.files.places import FilePlace, Folder
from services.ingest.domain.files.policy import FilePolicy, FileRefusal
from services.ingest.domain.files.sweeps import SHARDS
from services.ingest.domain.reasons import Reason
from services.ingest.metrics import METRICS
from services.ingest.ports import Files, Kept, OpenedFile
from tests.fakes.privacy import MemoryKeys

PDF = b"%PDF-1.7\n" + os.urandom(300_000)
PLACE = FilePlace("acme", "identity-1", "file-1")
POLICY = FilePolicy(max_bytes=1 << 20)


class Kit:
    """Files in a directory, with keys."""

    def __init__(self, directory: Path, policy: FilePolicy = POLICY) -> None:
        metrics = Metrics()
        metrics.declare(METRICS)
        self.directory = directory / "files"
        self.keys = MemoryKeys()
        self.files: Files = SealedFiles(file_store("", str(directory), metrics), self.keys, policy)

    def stored(self) -> list[Path]:
        return [each for each in self.directory.rglob("*") if each.is_file()]


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


async def whole(file: OpenedFile) -> bytes:
    """All bytes of the file."""
    content = b"".join([piece async for piece in file.pieces])
    assert len(content) == file.size
    return content


async def parts(content: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    """The content, in pieces."""
    for at in range(0, len(content), size):
        yield content[at : at + size]


@pytest.mark.parametrize("in_pieces", [False, True])
async def test_a_kept_file_can_be_opened(kit: Kit, *, in_pieces: bool) -> None:
    """Name, detected type, size and hash are known; the bytes come back; nothing of them is readable in the store."""
    kept = await kit.files.keep(PLACE, "../../secret/invoice\u202efdp.pdf", parts(PDF) if in_pieces else PDF)
    assert kept == Kept(PLACE, "invoicefdp.pdf", "application/pdf", len(PDF), hashlib.sha256(PDF).hexdigest())
    opened = await kit.files.open(PLACE)
    assert (opened.name, opened.content_type) == ("invoicefdp.pdf", "application/pdf")
    assert await whole(opened) == PDF
    (stored,) = kit.stored()
    assert stored.relative_to(kit.directory).as_posix() == "files/0f/acme/identity-1/file-1"
    assert b"invoice" not in stored.read_bytes()
    assert PDF[1000:1064] not in stored.read_bytes()


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("size", [0, 1, 65_536 - 40, 65_536, 131_072, 1 << 20])
async def test_every_size_comes_back(kit: Kit, size: int, *, in_pieces: bool) -> None:
    """Also sizes at the borders of pieces, and the largest one."""
    content = bytes(size)
    await kit.files.keep(PLACE, "", parts(content) if in_pieces else content)
    assert await whole(await kit.files.open(PLACE)) == content


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize(
    ("content", "refusal"),
    [(bytes((1 << 20) + 1), FileRefusal.TOO_LARGE), (b"MZ" + bytes(100), FileRefusal.TYPE_NOT_ALLOWED)],
)
async def test_what_is_refused_is_not_stored(
    kit: Kit, content: bytes, refusal: FileRefusal, *, in_pieces: bool
) -> None:
    """The file is named with the reason, and no byte of it remains."""
    kept = await kit.files.keep(PLACE, "a.exe", parts(content) if in_pieces else content)
    assert (kept.name, kept.refusal, kept.sha256) == ("a.exe", refusal, "")
    assert kit.stored() == []


async def test_an_erased_owner_has_no_files(kit: Kit) -> None:
    """Without the key the bytes are worth nothing, also in a backup; `forget` then deletes them."""
    await kit.files.keep(PLACE, "a.pdf", PDF)
    kit.keys.destroy("acme", "identity-1")
    with pytest.raises(ChaparError) as gone:
        await kit.files.open(PLACE)
    assert gone.value.reason == Reason.FILE_GONE
    assert await kit.files.forget("acme", "identity-1") == 1
    assert kit.stored() == []


async def test_old_files_are_deleted_by_folder(kit: Kit) -> None:
    """Each folder has its days; 0 keeps for ever."""
    original = FilePlace("acme", "identity-1", "file-1", Folder.ORIGINALS)
    await kit.files.keep(PLACE, "a.pdf", PDF)
    await kit.files.keep(original, "m.eml", b"From: a@b", original="message/rfc822")
    a_month = ManualClock(int(time.time() * 1000) + 31 * 86_400_000)
    assert isinstance(kit.files, SealedFiles)
    days = {Folder.FILES: 400, Folder.ORIGINALS: 30, Folder.QUARANTINE: 0}
    retention = FileRetention(kit.files.store, days, a_month, Random(1))
    assert sum([await retention.once() for _ in SHARDS]) == 1
    assert (await kit.files.open(PLACE)).name == "a.pdf"
    with pytest.raises(ChaparError):
        await kit.files.open(original)


async def test_a_file_at_another_place_does_not_open(kit: Kit) -> None:
    """The store may be written by others: a file that was moved to another customer, or changed, is not served."""
    await kit.files.keep(PLACE, "a.pdf", PDF)
    (stored,) = kit.stored()
    other = FilePlace("acme", "identity-2", "file-1")
    (kit.directory / other.key).parent.mkdir(parents=True)
    (kit.directory / other.key).write_bytes(stored.read_bytes())
    with pytest.raises(ChaparError):
        await kit.files.open(other)
    changed = bytearray(stored.read_bytes())
    changed[-1] ^= 1
    stored.write_bytes(changed)
    with pytest.raises(ChaparError) as gone:
        await whole(await kit.files.open(PLACE))
    assert gone.value.reason == Reason.FILE_GONE


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("content", [b"From: a@b\n\nhello", b"MZ", bytes((1 << 20) + 1)])
async def test_an_original_is_kept_whatever_it_is(kit: Kit, content: bytes, *, in_pieces: bool) -> None:
    """The edge has limited it already, and the words of a customer may be in it."""
    kept = await kit.files.keep(PLACE, "m.eml", parts(content) if in_pieces else content, original="message/rfc822")
    assert (kept.content_type, kept.refusal) == ("message/rfc822", FileRefusal.NONE)
    assert await whole(await kit.files.open(PLACE)) == content
