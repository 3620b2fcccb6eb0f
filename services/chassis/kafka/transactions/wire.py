"""Kafka's encoding of the flexible versions: compact strings, arrays and bytes, and tagged fields.

The decoder reads what a broker sent, and trusts nothing in it: every length is checked against the bytes that are left, so
that the work is linear in the size of the response. Anything else raises `Malformed`.
"""

import struct
from collections.abc import Callable
from typing import Final, TypeVar
from uuid import UUID

T = TypeVar("T")

_INT8: Final = struct.Struct(">b")
_INT16: Final = struct.Struct(">h")
_INT32: Final = struct.Struct(">i")
_INT64: Final = struct.Struct(">q")
_LAST_SEVEN: Final = 0x7F
_MORE: Final = 0x80
_LONGEST_VARINT: Final = 5
_UUID_BYTES: Final = 16
_VARINTS: Final = tuple(bytes([n]) for n in range(_MORE))

NO_TAGS: Final = b"\x00"
"""Ends a structure without tagged fields."""


class Malformed(ValueError):  # noqa: N818 - reads as what happened
    """A response that is not what the protocol says."""


def varint(value: int) -> bytes:
    """Encode an unsigned number of at most 32 bits, seven bits a byte."""
    if value < _MORE:
        return _VARINTS[value]
    encoded = bytearray()
    while value >= _MORE:
        encoded.append(value & _LAST_SEVEN | _MORE)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def string(value: str) -> bytes:
    """Encode a compact string."""
    encoded = value.encode()
    return varint(len(encoded) + 1) + encoded


def array_head(length: int) -> bytes:
    """Encode the head of a compact array; its elements follow."""
    return varint(length + 1)


class Reader:
    """Decodes one response from its beginning to its end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def int8(self) -> int:
        """Decode a signed number of 8 bits."""
        return self._number(_INT8)

    def int16(self) -> int:
        """Decode a signed number of 16 bits."""
        return self._number(_INT16)

    def int32(self) -> int:
        """Decode a signed number of 32 bits."""
        return self._number(_INT32)

    def int64(self) -> int:
        """Decode a signed number of 64 bits."""
        return self._number(_INT64)

    def boolean(self) -> bool:
        """Decode a truth value."""
        return self._take(1) != b"\x00"

    def uuid(self) -> UUID:
        """Decode an id of 16 bytes; all zero for none."""
        return UUID(bytes=self._take(_UUID_BYTES))

    def varint(self) -> int:
        """Decode an unsigned number."""
        value = 0
        for position in range(_LONGEST_VARINT):
            (byte,) = self._take(1)
            value |= (byte & _LAST_SEVEN) << 7 * position
            if byte < _MORE:
                return value
        raise Malformed("a number is longer than 32 bits")

    def string(self) -> str | None:
        """Decode a compact string; None for null."""
        length = self.varint() - 1
        return None if length < 0 else self._text(length)

    def short_string(self) -> str:
        """Decode a string of the versions that are not flexible; empty for null."""
        return self._text(max(0, self.int16()))

    def array(self, element: Callable[["Reader"], T]) -> list[T]:
        """Decode a compact array, empty for null. An element has at least one byte, so an honest length fits what is left."""
        return self._elements(self.varint() - 1, element)

    def long_array(self, element: Callable[["Reader"], T]) -> list[T]:
        """Decode an array of the versions that are not flexible, as `array` does."""
        return self._elements(self.int32(), element)

    def tags(self) -> dict[int, bytes]:
        """Decode the tagged fields at the end of a structure."""
        count = self.varint()
        if count > len(self._content) - self._at:
            raise Malformed(f"{count} tagged fields do not fit the response")
        return {self.varint(): self._take(self.varint()) for _ in range(count)}

    def _elements(self, length: int, element: Callable[["Reader"], T]) -> list[T]:
        if length > len(self._content) - self._at:
            raise Malformed(f"an array of {length} elements does not fit the response")
        return [element(self) for _ in range(length)]

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode()
        except UnicodeDecodeError as error:
            raise Malformed("a string is not UTF-8") from error

    def _number(self, form: struct.Struct) -> int:
        return int(form.unpack(self._take(form.size))[0])

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._content):
            raise Malformed("the response ends too early")
        taken = self._content[self._at : end]
        self._at = end
        return taken
