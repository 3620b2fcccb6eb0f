"""Changelog entries: their keys, and the version of their values."""

from typing import Any, Final

from services.chassis.kafka.changelog_codec import ChangelogCodec

# Entries of version 1 are shorter; the domain recognises them by their length.
_CODEC: Final = ChangelogCodec[Any](Any, version=2, reads=(1,))
encode: Final = _CODEC.encode
decode: Final = _CODEC.decode
"""Returns what `encode` was given, with lists instead of tuples."""


def entity_key(tenant: str, pool: str, kind: str, name: str) -> bytes:
    """Return the changelog's key of an entity."""
    return f"{kind}|{tenant}/{pool}|{name}".encode()


def parse_key(key: bytes) -> tuple[str, str, str, str]:
    """Return tenant, pool, kind and name. Raises ValueError."""
    kind, where, name = key.decode().split("|", 2)
    tenant, pool = where.split("/", 1)
    return tenant, pool, kind, name
