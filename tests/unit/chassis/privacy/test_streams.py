"""Files are sealed in pieces; whatever is changed about them is found."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.privacy.sealing import DataKey, Unsealable, key_ids
from services.chassis.privacy.streams import (
    HEAD_BYTES,
    PIECE_BYTES,
    awaited_by,
    key_id_in,
    opened_pieces,
    plain_size,
    sealed_bytes,
    sealed_pieces,
)
from tests.fakes.privacy import MemoryKeys

PLACE = "files/acme/owner/file"
SEALED_PIECE = PIECE_BYTES + 16
SIZES = st.one_of(st.integers(0, 100), st.integers(PIECE_BYTES - 2, PIECE_BYTES + 2), st.integers(0, 3 * PIECE_BYTES))


def a_key(keys: MemoryKeys, tenant: str = "acme") -> DataKey:
    return keys.made(tenant, "owner")


async def cut(content: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def opened(
    sealed: bytes, keys: MemoryKeys, tenant: str = "acme", place: str = PLACE, size: int = 50_000
) -> bytes:
    return b"".join([piece async for piece in opened_pieces(cut(sealed, size), keys, tenant, place)])


@given(SIZES, st.integers(1000, 200_000), st.integers(1000, 200_000), st.booleans())
def test_what_is_sealed_opens(size: int, come: int, gone: int, whole: bool) -> None:
    """At once or in pieces, however they are cut; the size is known from the sealed size."""
    keys = MemoryKeys()
    plain = bytes(range(256)) * (size // 256) + bytes(size % 256)

    async def run() -> None:
        key = a_key(keys)
        sealed = (
            sealed_bytes(plain, key, PLACE)
            if whole
            else b"".join([piece async for piece in sealed_pieces(cut(plain, come), key, PLACE)])
        )
        assert plain_size(len(sealed)) == len(plain)
        assert await opened(sealed, keys, size=gone) == plain

    asyncio.run(run())


@pytest.mark.parametrize(
    "change",
    [
        lambda sealed: sealed[:-1],
        lambda sealed: sealed[:HEAD_BYTES],
        lambda sealed: sealed[: HEAD_BYTES - 1],
        lambda sealed: b"",
        lambda sealed: sealed[: HEAD_BYTES + SEALED_PIECE],  # cut off at the end of a piece
        lambda sealed: sealed[:HEAD_BYTES] + sealed[HEAD_BYTES + SEALED_PIECE :],
        lambda sealed: sealed[: HEAD_BYTES + SEALED_PIECE] + sealed[HEAD_BYTES:],
        lambda sealed: (
            sealed[:HEAD_BYTES]
            + sealed[HEAD_BYTES + SEALED_PIECE : HEAD_BYTES + 2 * SEALED_PIECE]
            + sealed[HEAD_BYTES:]
        ),
        lambda sealed: sealed + b"x",
        lambda sealed: b"\x01" + sealed[1:],
        lambda sealed: sealed[:20] + bytes((sealed[20] ^ 1,)) + sealed[21:],
    ],
)
async def test_a_changed_file_does_not_open(change: object) -> None:
    """Cut off, reordered, repeated, extended, of another version or under another nonce: it is refused."""
    keys = MemoryKeys()
    sealed = sealed_bytes(bytes(3 * PIECE_BYTES), a_key(keys), PLACE)
    with pytest.raises(Unsealable):
        await opened(change(sealed), keys)  # type: ignore[operator]  # a function of the list above


async def test_a_file_belongs_to_its_place_its_tenant_and_its_key() -> None:
    """It does not open at another place, for another tenant, or when the key is destroyed."""
    keys = MemoryKeys()
    sealed = sealed_bytes(b"words", a_key(keys), PLACE)
    for tenant, place in (("acme", PLACE + "2"), ("best", PLACE)):
        with pytest.raises(Unsealable):
            await opened(sealed, keys, tenant, place)
    keys.destroy("acme", "owner")
    with pytest.raises(Unsealable):
        await opened(sealed, keys)


async def test_the_keyring_can_wait_for_the_key_of_a_file() -> None:
    """`Keyring.ready` finds the key's id in the value."""
    key = a_key(MemoryKeys())
    head = sealed_bytes(b"", key, PLACE)[:HEAD_BYTES]
    assert list(key_ids([awaited_by(head)])) == [key.key_id] == [key_id_in(head)]
