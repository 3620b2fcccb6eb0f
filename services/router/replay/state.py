"""A shard between two batches, and the file that keeps such states.

The file consists of: a line with the format and its version; frames (four bytes of length, MessagePack); an empty frame; SHA-256 of everything
before it. The first frame names the installation. Each shard is a head and chunks of entities in the order of their last writes, as a changelog has
them. It is written under another name and renamed when complete, so a reader finds the old file or the new one.
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import msgspec

MAGIC: Final = b"chapar-replay-state "
VERSION: Final = 1
_CHUNK: Final = 500
_LENGTH: Final = struct.Struct(">I")
_SUM: Final = hashlib.sha256().digest_size
_READ: Final = 1 << 20


class StateRefused(Exception):  # noqa: N818 - the name says what happened
    """The file can't be used as a start; the text says why and what to do."""


@dataclass(slots=True)
class ShardState:
    """One shard after a batch. Before the first batch everything is zero."""

    shard: int
    epoch: int = 0
    """Number of the ownership that decided the newest batch."""
    now_ms: int = 0
    """The clock of the newest batch."""
    position: int = 0
    """Offset of the next command."""
    journal_offset: int = -1
    """Offset of the newest batch's record in the journal; -1: none yet."""
    journal_sha256: bytes = b""
    """SHA-256 of that record: a state must not be continued with another log."""
    entities: dict[bytes, bytes] = field(default_factory=dict)
    """The changelog's live entries, ordered by last write."""

    def apply(self, changes: dict[bytes, bytes | None]) -> None:
        """Apply the changelog entries that one batch wrote."""
        for key, value in changes.items():
            self.entities.pop(key, None)
            if value is not None:
                self.entities[key] = value


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """The first frame of a shard. New fields go to the end, with a default."""

    shard: int
    epoch: int
    now_ms: int
    position: int
    journal_offset: int
    journal_sha256: bytes
    entities: int


class _Origin(msgspec.Struct, frozen=True, array_like=True):
    """The file's first frame."""

    topic_prefix: str


class StateWriter:
    """Writes a state file. Use as a context manager: `add` each shard, then `commit`. Without `commit`, no file is written."""

    def __init__(self, path: Path, topic_prefix: str) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}.new")
        self._prefix = topic_prefix
        self._sum = hashlib.sha256()
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        # Readable by its owner only: labels and ids are not secrets, but they are the customer's data.
        self._file = os.fdopen(os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._put(MAGIC + b"%d\n" % VERSION)
        self._frame(msgspec.msgpack.encode(_Origin(self._prefix)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            self._draft.unlink(missing_ok=True)

    def add(self, state: ShardState) -> None:
        """Add one shard."""
        head = _Head(
            state.shard,
            state.epoch,
            state.now_ms,
            state.position,
            state.journal_offset,
            state.journal_sha256,
            len(state.entities),
        )
        self._frame(msgspec.msgpack.encode(head))
        entries = list(state.entities.items())
        for begin in range(0, len(entries), _CHUNK):
            self._frame(msgspec.msgpack.encode(entries[begin : begin + _CHUNK]))

    def commit(self) -> None:
        """Complete the file: it is on disk, under its name."""
        assert self._file is not None
        self._put(_LENGTH.pack(0))
        self._file.write(self._sum.digest())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        self._draft.replace(self._path)

    def _frame(self, content: bytes) -> None:
        self._put(_LENGTH.pack(len(content)))
        self._put(content)

    def _put(self, content: bytes) -> None:
        assert self._file is not None
        self._sum.update(content)
        self._file.write(content)


class StateFile:
    """A state file. It is checked as a whole when it is opened. Raises StateRefused."""

    def __init__(self, path: Path, topic_prefix: str) -> None:
        self._path = path
        self._check()
        with self._path.open("rb") as file:
            origin = msgspec.msgpack.decode(next(self._frames(file)), type=_Origin)
        if origin.topic_prefix != topic_prefix:
            raise StateRefused(f"{path} is of topics that begin with {origin.topic_prefix!r}, not {topic_prefix!r}")

    def shard(self, shard: int) -> ShardState:
        """Return the state of one shard."""
        with self._path.open("rb") as file:
            frames = self._frames(file)
            next(frames)
            for frame in frames:
                head = msgspec.msgpack.decode(frame, type=_Head)
                chunks = (next(frames) for _ in range(-(-head.entities // _CHUNK)))
                if head.shard == shard:
                    return _loaded(head, chunks)
                for _ in chunks:
                    pass
        raise StateRefused(
            f"{self._path} does not contain shard {shard}: save one with --shard {shard}, or without --shard"
        )

    def _check(self) -> None:
        try:
            size = self._path.stat().st_size
            file = self._path.open("rb")
        except OSError as error:
            raise StateRefused(f"{self._path} can't be read: {error.strerror}") from error
        with file:
            first = file.readline(64)
            if not first.startswith(MAGIC):
                raise StateRefused(f"{self._path} is not a state file: `chapar replay --save` writes one")
            if first != MAGIC + b"%d\n" % VERSION:
                version = first.removeprefix(MAGIC).strip().decode(errors="replace")
                raise StateRefused(f"{self._path} has format {version}, this program knows {VERSION}: save a new one")
            total = hashlib.sha256(first)
            left = size - _SUM - len(first)
            while left > 0 and (part := file.read(min(_READ, left))):
                total.update(part)
                left -= len(part)
            if left or file.read() != total.digest():
                raise StateRefused(f"{self._path} is damaged, its checksum does not match: take an earlier file")

    @staticmethod
    def _frames(file: BinaryIO) -> Iterator[bytes]:
        file.readline(64)
        while (length := _LENGTH.unpack(file.read(_LENGTH.size))[0]) > 0:
            yield file.read(length)


def _loaded(head: _Head, chunks: Iterator[bytes]) -> ShardState:
    state = ShardState(head.shard, head.epoch, head.now_ms, head.position, head.journal_offset, head.journal_sha256)
    for chunk in chunks:
        entries: list[Any] = msgspec.msgpack.decode(chunk, type=list[tuple[bytes, bytes]])
        state.entities.update(entries)
    return state
