"""Implements `ports.Files`: a file is measured, named and sealed on its way into the store.

Inside the seal, before the file's own bytes: 2 bytes of length, then its name and type (MessagePack). Who has only the
place of a file can therefore serve it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import msgspec

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.privacy.lanes import AwaitedKeys
from services.chassis.privacy.sealing import DataKey, Unsealable
from services.chassis.privacy.streams import HEAD_BYTES as SEAL_HEAD
from services.chassis.privacy.streams import awaited_by, opened_pieces, plain_size, sealed_bytes, sealed_pieces
from services.ingest.domain.files.places import FilePlace, Folder, prefixes_of
from services.ingest.domain.files.policy import FilePolicy, FileRefusal
from services.ingest.domain.files.sniffing import HEAD_BYTES, sniffed
from services.ingest.domain.normalise.text import clean_file_name
from services.ingest.domain.reasons import Reason
from services.ingest.ports import FileStore, Kept, OpenedFile, Scanner, StoredBytes

_AT_ONCE: Final = 128 << 10
"""A file up to this size is sealed on the event loop, a larger one in a thread."""


class _About(msgspec.Struct, frozen=True, array_like=True):
    """The name and the type of a file, stored with its bytes."""

    name: str
    content_type: str


class _Refused(Exception):  # noqa: N818 - the name reads as what happened
    def __init__(self, why: FileRefusal) -> None:
        super().__init__(why.name)
        self.why = why


class SealedFiles:
    """Keeps and opens files; see the module's docstring."""

    def __init__(self, store: FileStore, keys: AwaitedKeys, policy: FilePolicy, scanner: Scanner | None = None) -> None:
        self._scanner = scanner
        self._store = store
        self._keys = keys
        self._policy = policy

    @property
    def policy(self) -> FilePolicy:
        """See `ports.Files.policy`."""
        return self._policy

    @property
    def store(self) -> FileStore:
        """Return the store, for work that needs no keys."""
        return self._store

    async def keep(
        self, place: FilePlace, name: str, content: bytes | AsyncIterator[bytes], *, original: str = ""
    ) -> Kept:
        """See `ports.Files.keep`."""
        name = clean_file_name(name)
        if isinstance(content, bytes):
            kind = original or sniffed(content)
            why = FileRefusal.NONE if original else self._policy.of_size(len(content)) or self._policy.of_type(kind)
            if why:
                return Kept(place, name, kind, len(content), refusal=FileRefusal(why))
            key = await self._key(place)
            if self._scanner is not None and not original and not await self._scanner.is_clean(_whole(content)):
                apart = replace(place, folder=Folder.QUARANTINE)
                _, sealed = await _sealed_somewhere(_head(name, kind), content, key, apart.key)
                await self._store.put(apart.key, sealed)
                return Kept(place, name, kind, len(content), refusal=FileRefusal.INFECTED)
            digest, sealed = await _sealed_somewhere(_head(name, kind), content, key, place.key)
            await self._store.put(place.key, sealed)
            return Kept(place, name, kind, len(content), digest)
        return await self._keep_pieces(place, name, content, original)

    async def _keep_pieces(self, place: FilePlace, name: str, content: AsyncIterator[bytes], original: str) -> Kept:
        passing = _Passing(content, self._policy, original)
        try:
            await passing.begin()
            pieces = passing.pieces(_head(name, passing.kind))
            await self._store.put(place.key, sealed_pieces(pieces, await self._key(place), place.key))
        except _Refused as refused:
            return Kept(place, name, passing.kind, passing.size, refusal=refused.why)
        kept = Kept(place, name, passing.kind, passing.size, passing.digest.hexdigest())
        return kept if self._scanner is None or original else await self._scanned(kept, self._scanner)

    async def _scanned(self, kept: Kept, scanner: Scanner) -> Kept:
        """Scan a file that came in pieces, and move it to quarantine if it is infected. No message names it before."""
        try:
            if await scanner.is_clean((await self.open(kept.place)).pieces):
                return kept
            apart = replace(kept.place, folder=Folder.QUARANTINE)
            pieces = _after(_head(kept.name, kept.content_type), (await self.open(kept.place)).pieces)
            await self._store.put(apart.key, sealed_pieces(pieces, await self._key(apart), apart.key))
        except ChaparError:
            await self._store.delete(kept.place.key)
            raise
        await self._store.delete(kept.place.key)
        return replace(kept, sha256="", refusal=FileRefusal.INFECTED)

    async def open(self, place: FilePlace) -> OpenedFile:
        """See `ports.Files.open`."""
        stored = await self._store.get(place.key)
        try:
            return await self._opened(stored, place)
        except (Unsealable, msgspec.MsgspecError) as error:
            # The key is destroyed, or the bytes are not those that were stored.
            raise _gone() from error

    async def key_of(self, place: FilePlace) -> DataKey:
        """Return the key of a file's owner, and make none. Raises NOT_FOUND FILE_GONE when the owner was erased."""
        try:
            key = await self._keys.existing(place.tenant, place.owner_id)
        except BrokerUnavailable as error:
            raise _no_key_now() from error
        if key is None:
            raise _gone()
        return key

    async def keep_made(self, place: FilePlace, kind: str, content: bytes, key: DataKey) -> None:
        """Store a file that Chapar has made, sealed with a key that the caller took before it began. No policy limits it,
        and nothing scans it. Raises UNAVAILABLE."""
        _, sealed = await _sealed_somewhere(_head("", kind), content, key, place.key)
        await self._store.put(place.key, sealed)

    async def has(self, place: FilePlace) -> bool:
        """Return whether the file can still be opened. Raises UNAVAILABLE."""
        try:
            await self.open(place)
        except ChaparError as error:
            if error.reason != Reason.FILE_GONE:
                raise
            return False
        return True

    async def remove(self, place: FilePlace) -> None:
        """Delete one file, if it exists. Raises UNAVAILABLE."""
        await self._store.delete(place.key)

    async def forget(self, tenant: str, owner_id: str) -> int:
        """See `ports.Files.forget`."""
        return sum([await self._store.delete_under(prefix) for prefix in prefixes_of(tenant, owner_id)])

    async def _opened(self, stored: StoredBytes, place: FilePlace) -> OpenedFile:
        held = bytearray()
        async for piece in stored.pieces:
            held += piece
            if len(held) >= SEAL_HEAD:
                break
        await self._keys.ready([awaited_by(bytes(held))])
        plain = opened_pieces(_after(bytes(held), stored.pieces), self._keys, place.tenant, place.key)
        first = await anext(plain)
        length = int.from_bytes(first[:2])
        about = msgspec.msgpack.decode(first[2 : 2 + length], type=_About)
        size = plain_size(stored.size) - 2 - length
        return OpenedFile(about.name, about.content_type, size, _unbroken(first[2 + length :], plain))

    async def _key(self, place: FilePlace) -> DataKey:
        try:
            return await self._keys.ensure(place.tenant, place.owner_id)
        except BrokerUnavailable as error:
            raise _no_key_now() from error


class _Passing:
    """A file that passes by in pieces: its type, its size and its hash. Raises _Refused."""

    def __init__(self, content: AsyncIterator[bytes], policy: FilePolicy, original: str) -> None:
        self._content = content
        self._policy = policy
        self._original = original
        self._first = b""
        self.kind = ""
        self.size = 0
        self.digest = hashlib.sha256()

    async def begin(self) -> None:
        """Read enough to know the type."""
        held = bytearray()
        async for piece in self._content:
            held += piece
            if len(held) >= HEAD_BYTES:
                break
        self._first = bytes(held)
        self.kind = self._original or sniffed(self._first)
        why = self._policy.of_type(self.kind)
        if why and not self._original:
            self.size = len(self._first)
            raise _Refused(why)

    async def pieces(self, head: bytes) -> AsyncIterator[bytes]:
        """Yield the head and all bytes."""
        yield head
        async for piece in _after(self._first, self._content):
            self.size += len(piece)
            if self._policy.of_size(self.size) and not self._original:
                raise _Refused(FileRefusal.TOO_LARGE)
            self.digest.update(piece)
            yield piece


def _head(name: str, kind: str) -> bytes:
    about = msgspec.msgpack.encode(_About(name, kind))
    return len(about).to_bytes(2) + about


def _sealed(head: bytes, content: bytes, key: DataKey, place: str) -> tuple[str, bytes]:
    return hashlib.sha256(content).hexdigest(), sealed_bytes(head + content, key, place)


async def _sealed_somewhere(head: bytes, content: bytes, key: DataKey, place: str) -> tuple[str, bytes]:
    if len(content) <= _AT_ONCE:
        return _sealed(head, content, key, place)
    return await asyncio.to_thread(_sealed, head, content, key, place)


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), _AT_ONCE):
        yield content[at : at + _AT_ONCE]


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _unbroken(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces. Bytes that were changed later in the file end it."""
    yield first
    try:
        async for piece in rest:
            yield piece
    except Unsealable as error:
        raise _gone() from error


def _no_key_now() -> ChaparError:
    return ChaparError(
        ErrorKind.UNAVAILABLE, Reason.BROKER_UNAVAILABLE, "the person's key can't be made now", retry_after_s=5
    )


def _gone() -> ChaparError:
    return ChaparError(ErrorKind.NOT_FOUND, Reason.FILE_GONE, "the file no longer exists")
