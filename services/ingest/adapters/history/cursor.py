"""Cursors: the end of a page, as an opaque string. A cursor is valid only for the list that issued it."""

from typing import Final

from chapar.common.v1 import types_pb2
from services.chassis.cursors import decode_cursor, encode_cursor
from services.chassis.errors import invalid

DEFAULT_SIZE: Final = 50
LARGEST_SIZE: Final = 500


def encode(name: str, at: int, key: str = "") -> str:
    """Return the cursor after the row at (at, key) of the list `name`."""
    return encode_cursor(name, (at, key))


def decode(name: str, cursor: str) -> tuple[int, str] | None:
    """Return where the previous page ended; None for the first page. Raises INVALID page.cursor."""
    return decode_cursor(name, cursor, tuple[int, str]) if cursor else None


def size_of(page: types_pb2.PageRequest) -> int:
    """Return the number of rows on the page. Raises INVALID page.size."""
    if not 0 <= page.size <= LARGEST_SIZE:
        raise invalid("page.size", f"must be from 0 (which means {DEFAULT_SIZE}) to {LARGEST_SIZE}")
    return page.size or DEFAULT_SIZE
