"""Files are scanned by a daemon that speaks ClamAV's protocol; what it finds goes to quarantine."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.chassis.errors import ChaparError
from services.chassis.metrics import Metrics
from services.ingest.adapters.files.clamd import Clamd
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.files.places import FilePlace, Folder
from services.ingest.domain.files.policy import FilePolicy, FileRefusal
from services.ingest.domain.reasons import Reason
from services.ingest.metrics import METRICS
from tests.fakes.privacy import MemoryKeys

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
PLACE = FilePlace("acme", "identity-1", "file-1")


class Daemon:
    """A small daemon: reads INSTREAM and looks for the test virus."""

    def __init__(self, most: int = 1 << 20) -> None:
        self.most = most
        self.scanned: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
        content = bytearray()
        while size := int.from_bytes(await reader.readexactly(4)):
            content += await reader.readexactly(size)
            if len(content) > self.most:
                writer.write(b"INSTREAM size limit exceeded. ERROR\0")
                break
        else:
            self.scanned.append(bytes(content))
            writer.write(b"stream: Eicar-Signature FOUND\0" if EICAR in content else b"stream: OK\0")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def running(daemon: Daemon, path: Path | None = None) -> AsyncIterator[str]:
    """The daemon's address, for the time of the block."""
    if path is not None:
        server = await asyncio.start_unix_server(daemon, path)
        address = f"unix:{path}"
    else:
        server = await asyncio.start_server(daemon, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield address


def files_in(directory: Path, address: str) -> SealedFiles:
    """Files that are scanned."""
    metrics = Metrics()
    metrics.declare(METRICS)
    store = file_store("", str(directory), metrics)
    return SealedFiles(store, MemoryKeys(), FilePolicy(), Clamd(address, 5))


def stored(directory: Path) -> list[str]:
    """The folders that have a file."""
    root = directory / "files"
    return [each.relative_to(root).parts[0] for each in root.rglob("*") if each.is_file()]


async def parts(content: bytes) -> AsyncIterator[bytes]:
    """The content in small pieces."""
    for at in range(0, len(content), 1000):
        yield content[at : at + 1000]


@pytest.mark.parametrize("unix", [False, True])
@pytest.mark.parametrize("in_pieces", [False, True])
async def test_a_clean_file_is_kept_and_an_infected_one_is_put_apart(
    tmp_path: Path, *, unix: bool, in_pieces: bool
) -> None:
    """The daemon sees the whole file. No link can name what it finds, and the agent learns why."""
    daemon = Daemon()
    async with running(daemon, tmp_path / "clamd" if unix else None) as address:
        files = files_in(tmp_path, address)
        clean = b"%PDF-1.7 " + os.urandom(300_000)
        kept = await files.keep(PLACE, "a.pdf", parts(clean) if in_pieces else clean)
        assert (kept.refusal, daemon.scanned, stored(tmp_path)) == (FileRefusal.NONE, [clean], ["files"])
        await files.forget("acme", "identity-1")

        kept = await files.keep(PLACE, "a.txt", parts(EICAR) if in_pieces else EICAR)
        assert (kept.refusal, kept.sha256, stored(tmp_path)) == (FileRefusal.INFECTED, "", ["quarantine"])
        with pytest.raises(ChaparError):
            await files.open(PLACE)
        apart = await files.open(FilePlace("acme", "identity-1", "file-1", Folder.QUARANTINE))
        assert b"".join([piece async for piece in apart.pieces]) == EICAR


@pytest.mark.parametrize("in_pieces", [False, True])
async def test_a_file_that_is_not_scanned_is_not_kept(tmp_path: Path, *, in_pieces: bool) -> None:
    """Too large for the daemon, or no daemon: the sender tries again, and nothing is stored."""
    async with running(Daemon(most=10)) as address:
        content = b"%PDF-1.7 " + bytes(200_000)
        with pytest.raises(ChaparError) as away:
            await files_in(tmp_path, address).keep(PLACE, "a.pdf", parts(content) if in_pieces else content)
        assert away.value.reason == Reason.SCANNER_AWAY
    with pytest.raises(ChaparError) as away:
        await files_in(tmp_path, address).keep(PLACE, "a.pdf", parts(content) if in_pieces else content)
    assert away.value.reason == Reason.SCANNER_AWAY
    assert stored(tmp_path) == []
