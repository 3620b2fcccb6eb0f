"""What a message says about its files when it is published."""

import hashlib
from pathlib import Path

import pytest

from services.chassis.errors import ChaparError
from services.chassis.ids import derive
from services.chassis.metrics import Metrics
from services.ingest.adapters.files.keeper import MessageFiles
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.files.places import FilePlace, Folder
from services.ingest.domain.files.policy import FilePolicy, FileRefusal, FileState
from services.ingest.domain.normalise.message import IncomingAttachment, IncomingMessage
from services.ingest.metrics import METRICS
from services.ingest.ports import Account
from tests.fakes.privacy import MemoryKeys

ACCOUNT = Account("acme", "webhook", "main", {}, {}, "en")
OWNER = derive("acme", "webhook", "main", "ali")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


class Kit:
    """A keeper over a store in memory, or over the directory."""

    def __init__(self, policy: FilePolicy, url: str = "memory:///", directory: Path = Path()) -> None:
        self.metrics = Metrics()
        self.metrics.declare(METRICS)
        self.files = SealedFiles(file_store(url, str(directory), self.metrics), MemoryKeys(), policy)
        self.keeper = MessageFiles(self.files, self.metrics)

    async def kept(self, *attachments: IncomingAttachment, original: bytes | None = None) -> IncomingMessage:
        message = IncomingMessage(
            "ali",
            "m1",
            "hello",
            attachments=attachments,
            original=None if original is None else IncomingAttachment("message/rfc822", "m.eml", content=original),
        )
        found = await self.keeper.kept(ACCOUNT, message)
        await self.keeper.keep_originals(ACCOUNT, [found])
        return found

    async def content(self, file: IncomingAttachment, folder: Folder = Folder.FILES) -> bytes:
        opened = await self.files.open(FilePlace("acme", file.owner_id, file.file_id, folder))
        return b"".join([piece async for piece in opened.pieces])

    def counted(self, state: str) -> float | None:
        return self.metrics.value("chapar_files_total", "webhook", state)


def file(content: bytes, name: str = "a.png", stated: str = "image/png") -> IncomingAttachment:
    """A file as a parser gives it."""
    return IncomingAttachment(stated, name, content=content)


async def test_files_are_stored_and_described() -> None:
    """Type and size come from the bytes; the bytes are no longer in the message."""
    kit = Kit(FilePolicy())
    (one, two) = (await kit.kept(file(PNG, stated="text/html"), file(PNG))).attachments
    assert (one.state, one.content_type, one.size, one.content) == (FileState.STORED, "image/png", len(PNG), None)
    assert one.owner_id == OWNER
    assert one.file_id != two.file_id
    assert await kit.content(one) == await kit.content(two) == PNG
    assert kit.counted("stored") == 2


async def test_a_retry_has_the_same_files_and_other_bytes_replace_none() -> None:
    """A provider that sends the message again causes no second file; a forger who repeats the id replaces nothing."""
    kit = Kit(FilePolicy())
    (first,) = (await kit.kept(file(PNG))).attachments
    (again,) = (await kit.kept(file(PNG))).attachments
    (other,) = (await kit.kept(file(PNG + b"!"))).attachments
    assert first == again
    assert other.file_id != first.file_id
    assert await kit.content(first) == PNG


async def test_what_is_refused_is_named_for_the_agent() -> None:
    """The message remains, and each file says why it can't be downloaded."""
    kit = Kit(FilePolicy(max_bytes=100, per_message=2))
    message = await kit.kept(file(bytes(101), "big"), file(b"MZ.."), file(PNG), file(PNG, "third"))
    found = [(each.name, each.state, each.refusal, each.size) for each in message.attachments]
    assert found == [
        ("big", FileState.REFUSED, FileRefusal.TOO_LARGE, 101),
        ("a.png", FileState.REFUSED, FileRefusal.TYPE_NOT_ALLOWED, 4),
        ("a.png", FileState.STORED, FileRefusal.NONE, len(PNG)),
        ("third", FileState.REFUSED, FileRefusal.TOO_MANY, len(PNG)),
    ]
    assert all(each.content is None for each in message.attachments)
    assert [kit.counted(state) for state in ("too_large", "type_not_allowed", "too_many", "stored")] == [1, 1, 1, 1]


async def test_the_original_is_kept_apart_and_whatever_it_is() -> None:
    """It counts towards no limit of files."""
    kit = Kit(FilePolicy(max_bytes=10, types=("image/*",)))
    original = (await kit.kept(original=b"From: a@b\r\n\r\nhello")).original
    assert original is not None
    assert (original.state, original.content_type, original.size) == (FileState.STORED, "message/rfc822", 18)
    assert original.sha256 == hashlib.sha256(b"From: a@b\r\n\r\nhello").hexdigest()
    assert await kit.content(original, Folder.ORIGINALS) == b"From: a@b\r\n\r\nhello"


async def test_a_file_that_is_fetched_later_has_its_id_already() -> None:
    """Without bytes nothing is stored. A file that no lane fetches stays as it is described."""
    kit = Kit(FilePolicy())
    later = IncomingAttachment("image/jpeg", "", 5, "provider-id", state=FileState.TO_FETCH)
    described = IncomingAttachment("image/jpeg", "", 5, "provider-id")
    one, two = (await kit.kept(later, described)).attachments
    assert (one.state, one.owner_id, bool(one.file_id)) == (FileState.TO_FETCH, OWNER, True)
    assert two == described


async def test_a_store_that_is_away_stops_the_message(tmp_path: Path) -> None:
    """The provider then sends it again."""
    kit = Kit(FilePolicy(), "", tmp_path)
    (tmp_path / "files").rmdir()
    (tmp_path / "files").write_text("")
    with pytest.raises(ChaparError) as away:
        await kit.kept(file(PNG))
    assert away.value.reason == "FILES_AWAY"


async def test_the_files_of_a_message_are_kept_at_the_same_time_and_in_order() -> None:
    """A few at once, whatever their sizes; the message names them in the order in which they came."""
    kit = Kit(FilePolicy())
    contents = [PNG + bytes(size) for size in (300_000, 0, 200_000, 1, 250_000, 2)]
    message = await kit.kept(*(file(content, f"{at}.png") for at, content in enumerate(contents)))
    assert [(each.name, each.size) for each in message.attachments] == [
        (f"{at}.png", len(content)) for at, content in enumerate(contents)
    ]
    assert [await kit.content(each) for each in message.attachments] == contents
