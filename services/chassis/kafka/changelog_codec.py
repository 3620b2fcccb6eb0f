"""The values of changelogs: one byte of version, then MessagePack.

A lane writes its own version and reads those that it names; it refuses all others, because a restored state is never guessed. A new field with a
default does not need another version. Another meaning of a field does, and then the reader must handle both.
"""

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class UnknownVersion(ValueError):  # noqa: N818 - a verdict about the input
    """An entry that this program does not know how to read."""

    def __init__(self, value: bytes, known: Iterable[int]) -> None:
        found = f"version {value[0]}" if value else "no version"
        super().__init__(
            f"a changelog entry of {found}, this program reads {', '.join(map(str, known))}: was it written by another version?"
        )


class ChangelogCodec(Generic[T]):
    """Encodes the values of one kind of entry."""

    def __init__(self, kind: type[T] | Any, *, version: int = 1, reads: Iterable[int] = ()) -> None:
        """`kind`: the type that `decode` returns. `reads`: earlier versions of the same shape as `version`, or that the caller can distinguish."""
        if not 1 <= version <= 127:
            raise ValueError("a version is 1 to 127, so that no entry begins like one without a version")
        self._mark = bytes([version])
        self._reads = frozenset((version, *reads))
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def encode(self, value: T) -> bytes:
        """Return the entry's value."""
        return self._mark + self._encode(value)

    def decode(self, value: bytes) -> T:
        """Return the entry. Raises UnknownVersion, and msgspec.MsgspecError for bytes that are not an entry of this kind."""
        if not value or value[0] not in self._reads:
            raise UnknownVersion(value, sorted(self._reads))
        found: T = self._decode(memoryview(value)[1:])
        return found
