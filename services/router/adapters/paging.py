"""Page cursors: opaque to callers, and checked when callers send them back."""

from typing import Final

from chapar.common.v1 import types_pb2
from services.chassis.cursors import decode_cursor, encode_cursor
from services.chassis.errors import invalid

_DEFAULT: Final = 50
_MOST: Final = 500


def size_of(page: types_pb2.PageRequest) -> int:
    """Return the number of entries of a page. Raises INVALID."""
    if not 0 <= page.size <= _MOST:
        raise invalid("page.size", f"is between 0 and {_MOST}")
    return page.size or _DEFAULT


def agent_of(cursor: str) -> str:
    """Return the last agent of the previous page, empty for the first page. Raises INVALID."""
    return decode_cursor("agents", cursor, str) if cursor else ""


def after_agent(agent_id: str) -> str:
    """Return the cursor of the page after an agent."""
    return encode_cursor("agents", agent_id)


def position_of(cursor: str) -> int:
    """Return how many entries the previous pages have shown. Raises INVALID."""
    return max(0, decode_cursor("waiting", cursor, int)) if cursor else 0


def at_position(position: int) -> str:
    """Return the cursor of the page that begins at a position."""
    return encode_cursor("waiting", position)
