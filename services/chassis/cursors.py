"""Cursors: the place where a page of a list ended, as an opaque text that clients send back.

One codec for all services. A cursor names its list, so that a cursor of another list is refused. Its length and its
numbers are bounded, so that an invented cursor is INVALID `page.cursor` and never an internal error.
"""

import base64
import binascii
from typing import Any, Final, TypeVar

import msgspec

from services.chassis.errors import ChaparError, invalid
from services.chassis.reasons import Reason

MAX_CURSOR: Final = 2_000
_LARGEST: Final = 2**53
"""Integers up to this value are the same in every JSON implementation."""
T = TypeVar("T")


def encode_cursor(name: str, place: object) -> str:
    """Return the cursor for a place in the list `name`."""
    return base64.urlsafe_b64encode(msgspec.json.encode((name, place))).rstrip(b"=").decode()


def decode_cursor(name: str, cursor: str, kind: type[T]) -> T:
    """Return the place in the list `name`, as a `kind`. Raises INVALID page.cursor."""
    if len(cursor) > MAX_CURSOR:
        raise _refused()
    try:
        raw = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        of, value = msgspec.json.decode(raw, type=tuple[str, Any])
        place = msgspec.convert(value, kind)
    except (binascii.Error, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _refused() from error
    if of != name or not _bounded(value):
        raise _refused()
    return place


def _bounded(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_bounded, value))
    if isinstance(value, str):
        return "\x00" not in value
    return not isinstance(value, int | float) or abs(value) < _LARGEST


def _refused() -> ChaparError:
    return invalid(
        "page.cursor", "is not a cursor of this list: send next_cursor back unchanged", reason=Reason.BAD_CURSOR
    )
