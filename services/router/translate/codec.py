"""Changelog entries: keys, and values as MessagePack after one byte of version."""

from typing import Any, Final

import msgspec

_VERSION: Final = 2
_READ: Final = (1, 2)
"""Entries of version 1 are shorter; the domain recognises them by their length."""
_MARK: Final = bytes([_VERSION])
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


def entity_key(tenant: str, pool: str, kind: str, name: str) -> bytes:
    """Return the changelog's key of an entity."""
    return f"{kind}|{tenant}/{pool}|{name}".encode()


def parse_key(key: bytes) -> tuple[str, str, str, str]:
    """Return tenant, pool, kind and name. Raises ValueError."""
    kind, where, name = key.decode().split("|", 2)
    tenant, pool = where.split("/", 1)
    return tenant, pool, kind, name


def encode(value: Any) -> bytes:
    """Return an entity's tuples as bytes."""
    return _MARK + _encoder.encode(value)


def decode(value: bytes) -> Any:
    """Return what `encode` was given, with lists instead of tuples. Raises ValueError for a version that this program does not know."""
    if not value or value[0] not in _READ:
        raise ValueError(f"changelog entry of version {value[0] if value else 'none'}, this program knows {_READ}")
    return _decoder.decode(memoryview(value)[1:])
