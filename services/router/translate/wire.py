"""Write protobuf's wire format (https://protobuf.dev/programming-guides/encoding) without message objects.

The router writes some 25 records for each interaction, and most of their bytes are the same as before: a message object is built field by
field, and then serialized again as a whole, where bytes that are already known can be appended. Numbers and types of fields come from the
contract. Fields must be written in the order of their numbers, as protobuf's deterministic serialization writes them.

A field with its default value is not written, as in proto3. Numbers out of range raise ValueError, as message objects do.
"""

from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_SHORT: Final = [bytes([value]) for value in range(128)]
"""The varints of one byte."""
_INT32: Final = 2**31
_INT64: Final = 2**63
_UINT64: Final = 2**64
_VARINT, _FIXED64, _DELIMITED = 0, 1, 2
_WIRE_TYPES: Final = {
    FieldDescriptor.TYPE_STRING: _DELIMITED,
    FieldDescriptor.TYPE_MESSAGE: _DELIMITED,
    FieldDescriptor.TYPE_INT32: _VARINT,
    FieldDescriptor.TYPE_INT64: _VARINT,
    FieldDescriptor.TYPE_ENUM: _VARINT,
    FieldDescriptor.TYPE_BOOL: _VARINT,
}


def tag(message: type[Message], field: str) -> bytes:
    """Return the bytes with which a field begins. Raises KeyError for a field or a type that is not known here."""
    known = message.DESCRIPTOR.fields_by_name[field]
    return varint(known.number << 3 | _WIRE_TYPES[known.type])


def varint(value: int) -> bytes:
    """Return a number as a varint; a negative one as 64 bits. Raises ValueError for more than 64 bits."""
    if 0 <= value < 128:
        return _SHORT[value]
    if not -_INT64 <= value < _INT64:
        raise ValueError(f"{value} has more than 64 bits")
    if value < 0:
        value += _UINT64
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)


def text(tag: bytes, value: str) -> bytes:
    """Return a field of type string. Raises ValueError for text with lone surrogates."""
    if not value:
        return b""
    raw = value.encode()
    size = len(raw)
    return tag + (_SHORT[size] if size < 128 else varint(size)) + raw  # a call less: most fields are short texts


def int64(tag: bytes, value: int) -> bytes:
    """Return a field of type int64."""
    return tag + varint(value) if value else b""


def int32(tag: bytes, value: int) -> bytes:
    """Return a field of type int32, or of an enumeration."""
    if not value:
        return b""
    if not -_INT32 <= value < _INT32:
        raise ValueError(f"{value} has more than 32 bits")
    return tag + varint(value)


def flag(tag: bytes, value: bool) -> bytes:
    """Return a field of type bool."""
    return tag + b"\x01" if value else b""


def nested(tag: bytes, body: bytes) -> bytes:
    """Return a field that is a message, from the message's bytes. It is written even if it is empty: it is present."""
    return tag + varint(len(body)) + body


def sized(body: bytes) -> bytes:
    """Return a message's bytes behind their length, to be appended to the tags of several fields."""
    return varint(len(body)) + body
