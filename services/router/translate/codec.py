"""Changelog entries: their keys, and the version of their values."""

from typing import Any, Final

import msgspec

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.chassis.kafka.changelog_formats import Formats
from services.router.domain.entries import KINDS, InteractionEntry, Value

_VERSION: Final = 4
FORMATS: Final = Formats(newest=_VERSION, oldest=_VERSION)
_WRITER: Final = ChangelogCodec[Value](Any, version=_VERSION)
_CODECS: Final[dict[str, ChangelogCodec[Value]]] = {
    kind: ChangelogCodec(value, version=_VERSION, reads=(2, 3)) for kind, value in KINDS.items()
}
"""Entries of versions 2 and 3 lack some of the last fields, which have defaults."""
_WITH_INTERVALS: Final = (b"\x02", b"\x03")
"""The versions in which the history of a queue had the intervals between departures, and the adaptive order a factor."""
_SHIFT: Final = InteractionEntry.__struct_fields__.index("shift_ms")


def entity_key(tenant: str, pool: str, kind: str, name: str) -> bytes:
    """Return the changelog's key of an entity."""
    return f"{kind}|{tenant}/{pool}|{name}".encode()


def parse_key(key: bytes) -> tuple[str, str, str, str]:
    """Return tenant, pool, kind and name. Raises ValueError."""
    kind, where, name = key.decode().split("|", 2)
    tenant, pool = where.split("/", 1)
    return tenant, pool, kind, name


def encode(value: Value) -> bytes:
    """Return the value of an entity as bytes."""
    return _WRITER.encode(value)


def decode(kind: str, value: bytes) -> Value:
    """Return what `encode` was given, for an entity of this kind.

    Raises ValueError for a kind or a version that this program does not know, and for a value that is not of its kind.
    """
    codec = _CODECS.get(kind)
    if codec is None:
        raise ValueError(f"no entity of kind {kind!r} is known")
    if value[:1] in _WITH_INTERVALS:
        if kind == "q":
            value = _without_intervals(value)
        elif kind == "i":
            value = _without_factor(value)
    return codec.decode(value)


def _without_intervals(value: bytes) -> bytes:
    """Return the history of a queue with intervals in the present form. The pace is learnt again, because nothing says how many agents were at
    work, and so is the shift of the adaptive order, which was a factor; everything else stays."""
    since, _intervals, *rest, _factor = msgspec.msgpack.decode(value[1:], type=list[Any])
    return bytes([_VERSION]) + msgspec.msgpack.encode([since, 0.0, 0.0, 0, *rest, 0.0, 0.0, 0.0])


def _without_factor(value: bytes) -> bytes:
    """Return an interaction without the factor of the adaptive order, where its shift is now."""
    fields = msgspec.msgpack.decode(value[1:], type=list[Any])
    fields[_SHIFT] = 0.0
    return value[:1] + msgspec.msgpack.encode(fields)
