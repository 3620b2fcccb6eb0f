"""Cursors: opaque to callers, checked when they come back."""

import base64
import binascii
from typing import Final

from chapar.common.v1 import types_pb2
from services.chassis.errors import invalid

_DEFAULT: Final = 50
_MOST: Final = 500
_LONGEST: Final = 400


def page_of(page: types_pb2.PageRequest) -> tuple[int, str]:
    """Size, and what the cursor stands for (empty for the first page). Raises INVALID."""
    if not 0 <= page.size <= _MOST:
        raise invalid("page.size", f"is between 0 and {_MOST}")
    if len(page.cursor) > _LONGEST:
        raise invalid("page.cursor", "is not one of ours")
    try:
        where = base64.urlsafe_b64decode(page.cursor.encode("ascii")).decode()
    except (binascii.Error, UnicodeError) as error:
        raise invalid("page.cursor", "is not one of ours") from error
    return page.size or _DEFAULT, where


def cursor_of(where: str) -> str:
    """The cursor that stands for a place."""
    return base64.urlsafe_b64encode(where.encode()).decode()
