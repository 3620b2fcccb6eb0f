"""Ids that are the same at every retry.

An id derives from the thing that it names, so a message that is delivered twice gets the same id, in every process and for
ever: the namespace and the way of joining below must therefore never change. Parts are length-prefixed in UTF-8 bytes, so
("a", "bc") and ("ab", "c") differ. Lone surrogates, which some providers send, are encoded unchanged.
"""

import hashlib
import secrets
import time
import uuid

NAMESPACE = uuid.UUID("6b1f0a52-7d0e-5c3a-9a51-c4a9a2c0f3e7")
_NAMESPACE_BYTES = NAMESPACE.bytes


def derive(*parts: str) -> str:
    """Return the UUIDv5 (RFC 9562, 5.5) of these parts, in canonical text form."""
    if not parts:
        raise ValueError("an id derives from at least one part")
    name = _NAMESPACE_BYTES
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        name += b"%d:%b" % (len(raw), raw)
    digest = hashlib.sha1(name, usedforsecurity=False).hexdigest()
    # The same as str(uuid.UUID(bytes=…, version=5)), which takes three times as long; edges derive two ids for each message.
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def random_id() -> str:
    """Return a UUIDv7 (RFC 9562, 5.7): new at each call, roughly ordered by time. For input without an id of its own."""
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value &= ~(0xF << 76) & ~(0x3 << 62)
    value |= 0x7 << 76 | 0x2 << 62
    return str(uuid.UUID(int=value))
