"""Packs the encoded states of closed work for memory: the same bytes as in the changelog, in a fifth of the room.

Most of an encoded state is names of fields, and words that all customers of one account share. So a state is compressed
against a sample of its account, which the translation makes (`Sample`) and which has no personal data. What remains is the
customer's own ids, name and times. Ids (UUIDs as text) are stored in binary.
"""

import re
import uuid
import zlib
from collections.abc import Callable
from typing import Final, Protocol

Account = tuple[str, str, str]
"""Tenant, channel, account."""
Sample = Callable[[Account], bytes]
"""Returns an encoded state such as those of this account: its bytes are a dictionary of the compression."""


class Compressor(Protocol):
    """An object of `zlib.compressobj`."""

    def copy(self) -> "Compressor": ...
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


_ID: Final = re.compile(rb"\xd9\x24([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
"""A text of 36 bytes in MessagePack that is an id."""
_MARK: Final = b"\xc4\x10"
_BINARY_ID: Final = re.compile(rb"\xc4\x10(.{16})", re.DOTALL)
_MOST_SAMPLES: Final = 127
_TEXT_IDS: Final = 0x80
_WINDOW, _MEMORY, _LEVEL = -11, 2, 9
"""A compressor of 10 KB: states and samples have one or two KB."""


class Packer:
    """Packs and unpacks states of one kind. Packed states are for the memory of this instance only."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._samples: list[bytes] = []
        self._prepared: list[Compressor] = []
        """Per sample. Copying one costs less than giving the sample to a new one."""
        self._numbers: dict[Account, int] = {}

    def pack(self, account: Account, plain: bytes) -> bytes:
        """Return the packed state. `account`: whose sample is used; any account is correct."""
        head = self._number(account)
        packer = self._prepared[head].copy()
        if _MARK in plain:  # not an id, but it would be taken for one
            head |= _TEXT_IDS
        else:
            plain = _with_binary_ids(plain)
        return bytes((head,)) + packer.compress(plain) + packer.flush()

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """Return the state as it was given to `pack`, and the bytes behind it."""
        head = packed[0]
        unpacker = zlib.decompressobj(_WINDOW, self._samples[head & ~_TEXT_IDS])
        found = unpacker.decompress(packed[1:])
        return found if head & _TEXT_IDS else _with_text_ids(found), unpacker.unused_data

    def _number(self, account: Account) -> int:
        number = self._numbers.get(account)
        if number is None:
            if len(self._samples) >= _MOST_SAMPLES:
                return 0
            number = self._numbers[account] = len(self._samples)
            sample = _with_binary_ids(self._sample(account))
            self._samples.append(sample)
            self._prepared.append(
                zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, sample)
            )
        return number


def _with_binary_ids(plain: bytes) -> bytes:
    return _ID.sub(lambda found: _MARK + bytes.fromhex(found[1].replace(b"-", b"").decode()), plain)


def _with_text_ids(shorter: bytes) -> bytes:
    return _BINARY_ID.sub(lambda found: b"\xd9\x24" + str(uuid.UUID(bytes=found[1])).encode(), shorter)
