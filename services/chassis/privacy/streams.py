"""Seals and opens files with a key of the person, piece by piece, so that a large file is never in memory as a whole.

    version (1) | key id (16) | nonce prefix (7) | pieces: AES-256-GCM of 64 KiB each, the last one may be shorter

The nonce of a piece is prefix, number and a mark of the last one (the STREAM construction): pieces that are left out,
repeated, exchanged or cut off at the end are found. Tenant and place are associated data: a file that is moved to
another place does not open.
"""

import os
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag

from chapar.common.v1.privacy_pb2 import SealedEnvelope
from services.chassis.privacy.sealing import KEY_ID_BYTES, DataKey, Keys, Unsealable

PIECE_BYTES: Final = 64 << 10
_VERSION: Final = 2
_PREFIX: Final = 7
_TAG: Final = 16
HEAD_BYTES: Final = 1 + KEY_ID_BYTES + _PREFIX
_SEALED_PIECE: Final = PIECE_BYTES + _TAG


def sealed_bytes(plain: bytes, key: DataKey, place: str) -> bytes:
    """Return a file, sealed."""
    sealer = _Sealer(key, place)
    view = memoryview(plain)
    last = max(0, len(plain) - 1) // PIECE_BYTES
    cut = [view[at * PIECE_BYTES : (at + 1) * PIECE_BYTES] for at in range(last + 1)]
    return sealer.head + b"".join(sealer.piece(piece, last=at == last) for at, piece in enumerate(cut))


async def sealed_pieces(plain: AsyncIterator[bytes], key: DataKey, place: str) -> AsyncIterator[bytes]:
    """Yield a file, sealed. The parts of `plain` may have any length."""
    sealer = _Sealer(key, place)
    yield sealer.head
    held = bytearray()
    async for part in plain:
        held += part
        while len(held) > PIECE_BYTES:
            yield sealer.piece(bytes(held[:PIECE_BYTES]), last=False)
            del held[:PIECE_BYTES]
    yield sealer.piece(bytes(held), last=True)


async def opened_pieces(sealed: AsyncIterator[bytes], keys: Keys, tenant: str, place: str) -> AsyncIterator[bytes]:
    """Yield a file's bytes; each piece is verified before it is yielded. Raises Unsealable, also when the key is destroyed.

    The caller makes the key available before (`awaited_by`).
    """
    held = bytearray()
    opener: _Opener | None = None
    async for part in sealed:
        held += part
        if opener is None and len(held) >= HEAD_BYTES:
            opener = _Opener(bytes(held[:HEAD_BYTES]), keys, tenant, place)
            del held[:HEAD_BYTES]
        while opener is not None and len(held) > _SEALED_PIECE:
            yield opener.piece(bytes(held[:_SEALED_PIECE]), last=False)
            del held[:_SEALED_PIECE]
    if opener is None:
        raise Unsealable("the file is shorter than its head")
    yield opener.piece(bytes(held), last=True)


def key_id_in(head: bytes) -> bytes:
    """Return the id of the key in a file's first bytes. Raises Unsealable."""
    if len(head) < HEAD_BYTES or head[0] != _VERSION:
        raise Unsealable("the file is of an unknown version")
    return head[1 : 1 + KEY_ID_BYTES]


def awaited_by(head: bytes) -> bytes:
    """Return a value for `Keyring.ready`, which then waits for the key of the file with these first bytes. Raises Unsealable."""
    return SealedEnvelope(sealed=bytes((1,)) + key_id_in(head) + bytes(28)).SerializeToString()


def plain_size(sealed_size: int) -> int:
    """Return the size of a file whose sealed form has this size."""
    body = max(0, sealed_size - HEAD_BYTES)
    pieces = -(-body // _SEALED_PIECE)
    return max(0, body - pieces * _TAG)


class _Sealer:
    def __init__(self, key: DataKey, place: str) -> None:
        prefix = os.urandom(_PREFIX)
        self.head = bytes((_VERSION,)) + key.key_id + prefix
        self._key = key
        self._nonces = _nonces(prefix)
        self._about = _about(key.tenant, place)

    def piece(self, plain: bytes | memoryview, *, last: bool) -> bytes:
        return self._key.cipher.encrypt(next(self._nonces) + bytes((last,)), plain, self._about)


class _Opener:
    def __init__(self, head: bytes, keys: Keys, tenant: str, place: str) -> None:
        key = keys.find(key_id_in(head))
        if key is None:
            raise Unsealable("the key is destroyed")
        if key.tenant != tenant:
            raise Unsealable("the key belongs to another tenant")
        self._key = key
        self._nonces = _nonces(head[-_PREFIX:])
        self._about = _about(tenant, place)

    def piece(self, sealed: bytes, *, last: bool) -> bytes:
        try:
            return self._key.cipher.decrypt(next(self._nonces) + bytes((last,)), sealed, self._about)
        except InvalidTag as error:
            raise Unsealable("the file was changed, cut off, or moved") from error


def _nonces(prefix: bytes) -> Iterator[bytes]:
    for number in range(1 << 32):
        yield prefix + struct.pack(">I", number)


def _about(tenant: str, place: str) -> bytes:
    parts = (tenant.encode("utf-8", "surrogatepass"), b"files", place.encode())
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)
