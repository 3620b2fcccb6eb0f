"""Cursors: where a page ended, as an opaque word. A cursor belongs to its list; another's is refused."""

import base64
import binascii
from typing import Final

import msgspec

from chapar.common.v1 import types_pb2
from services.chassis.errors import invalid

DEFAULT_SIZE: Final = 50
LARGEST_SIZE: Final = 500
_LONGEST: Final = 2000


def encode(name: str, at: int, key: str = "") -> str:
    """The cursor behind the row at (at, key) of the list `name`."""
    return base64.urlsafe_b64encode(msgspec.json.encode((name, at, key))).rstrip(b"=").decode()


def decode(name: str, cursor: str) -> tuple[int, str] | None:
    """Where the page before ended; None for the first page. Raises INVALID page.cursor."""
    if not cursor:
        return None
    refused = invalid("page.cursor", "is no cursor of this list: hand back next_cursor as it was", reason="BAD_CURSOR")
    if len(cursor) > _LONGEST:
        raise refused
    try:
        raw = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        of, at, key = msgspec.json.decode(raw, type=tuple[str, int, str])
    except (binascii.Error, msgspec.MsgspecError, UnicodeError) as error:
        raise refused from error
    if of != name or abs(at) >= 1 << 63 or "\x00" in key:
        raise refused
    return at, key


def size_of(page: types_pb2.PageRequest) -> int:
    """Rows on the page. Raises INVALID page.size."""
    if not 0 <= page.size <= LARGEST_SIZE:
        raise invalid("page.size", f"must be from 0 (which means {DEFAULT_SIZE}) to {LARGEST_SIZE}")
    return page.size or DEFAULT_SIZE
