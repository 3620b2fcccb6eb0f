"""Reads a provider's object although some of its fields have an unexpected type or can't be stored.

A provider that signed a call and gets an error repeats the call for days and slows down every other message. So a field
that can't be read is left out, the rest is used, and the raw object is kept.
"""

import json
import re
from typing import Any, Final, TypeVar

import msgspec

from services.ingest.domain.normalise.json_body import unstorable

MAX_RAW: Final = 600_000
"""The maximum number of bytes kept of an object that can't be read completely: the log takes no larger records."""
_MOST_LEFT_OUT: Final = 40
"""The maximum number of fields that are left out of one object."""
_DEEPEST: Final = 64
_FORBIDDEN: Final = re.compile("[\x00\ud800-\udfff]")
T = TypeVar("T")


def salvaged(value: Any, shape: type[T]) -> tuple[T | None, bool]:
    """Return the value as `shape`, and whether all of it was read. None when a required field can't be read."""
    whole = True
    if unstorable(value) is not None:
        value, whole = storable(value), False
    for _ in range(_MOST_LEFT_OUT):
        try:
            return msgspec.convert(value, shape, strict=whole), whole
        except msgspec.ValidationError as error:
            whole = False
            value = _without(value, _path(str(error)))
            if value is None:
                return None, False
        except RecursionError:
            return None, False
    return None, False


def storable(value: Any, depth: int = 0) -> Any:
    """Return a copy of a JSON value in which U+FFFD replaces NUL and lone surrogates."""
    if isinstance(value, str):
        return _FORBIDDEN.sub("\ufffd", value)
    if depth > _DEEPEST:
        return None
    if isinstance(value, list):
        return [storable(child, depth + 1) for child in value]
    if isinstance(value, dict):
        return {storable(key): storable(child, depth + 1) for key, child in value.items()}
    return value


def first_text(fields: Any, *names: str) -> str:
    """Return the first of these fields that has a text, as it can be stored; "" when none has."""
    for name in names:
        value = fields.get(name) if isinstance(fields, dict) else None
        if isinstance(value, str) and value:
            return _FORBIDDEN.sub("\ufffd", value)
    return ""


def kept(value: Any) -> bytes:
    """Return a JSON value as bytes, at most MAX_RAW. The same value gives the same bytes."""
    return encoded(value)[:MAX_RAW]


def encoded(value: Any) -> bytes:
    """Return a JSON value as bytes. The same value gives the same bytes."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def _path(error: str) -> list[str]:
    """Return the names on the path in msgspec's message, up to the first array or map, e.g. ["chat", "id"]."""
    path = error.partition(" - at `$")[2].rstrip("`").partition("[")[0]
    return [name for name in path.split(".") if name]


def _without(value: Any, path: list[str]) -> Any:
    """Return a copy of the value without the field at the path; None when there is no such field."""
    if not path or not isinstance(value, dict) or path[0] not in value:
        return None
    if len(path) == 1:
        return {name: child for name, child in value.items() if name != path[0]}
    below = _without(value[path[0]], path[1:])
    return None if below is None else {**value, path[0]: below}
