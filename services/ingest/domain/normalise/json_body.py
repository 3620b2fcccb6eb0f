"""JSON from outside: bounded, never a RecursionError, and an invalid string affects only its own message.

msgspec is the fast path. It refuses the whole document for one lone surrogate, although a batch may hold other messages
that are valid. So a refused document is parsed again by the standard library, which keeps the surrogate, and each
message is then checked by itself. Depth is limited by counting, not by the size of the interpreter's stack.
"""

import json
import math
import re
from typing import Any, TypeVar

import msgspec

from services.ingest.domain.normalise.message import Refusal
from services.ingest.domain.normalise.text import forbidden
from services.ingest.domain.reasons import Reason

MAX_DEPTH = 64
MAX_ITEMS = 50_000
_MAX_SIGNS = 4 * MAX_ITEMS
"""The maximum number of commas, colons and brackets, including those in strings. A decoder makes an object for nearly
each of them, at 50 ns and more."""
_SHOWN = 64

_ESCAPES = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_LONG_NUMBER = re.compile(rb"[:,\[]\s*-?[0-9]{500}")
"""The time to read a whole number grows with the square of its digits."""
_SIGNS = (b",", b":", b"[", b"{")
_CONTAINERS = (dict, list)
_decoder = msgspec.json.Decoder()
T = TypeVar("T")


def parse_json(raw: bytes) -> "dict[str, Any] | Refusal":
    """Parse these bytes into a JSON object, or return the refusal."""
    if sum(map(raw.count, _SIGNS)) > _MAX_SIGNS:
        return _too_many()
    if _LONG_NUMBER.search(raw):
        return Refusal(Reason.NUMBER_TOO_LONG, "", "holds a number of 500 digits or more")
    try:
        value = _decoder.decode(raw)
    except RecursionError:
        return _too_deep()
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _second_opinion(raw)
    if isinstance(value, Refusal):
        return value
    if not isinstance(value, dict):
        return Refusal(Reason.NOT_AN_OBJECT, "", f"must be a JSON object, not {_name(value)}")
    return _bounded(value) or value


def _second_opinion(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        return Refusal(Reason.NOT_UTF8, "", "must be JSON in UTF-8")
    except RecursionError:
        return _too_deep()
    except ValueError as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        return Refusal(Reason.MALFORMED_JSON, "", f"is not JSON{where}")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _bounded(value: Any) -> Refusal | None:
    level: list[Any] = [value]
    items = 0
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            inside = item.values() if isinstance(item, dict) else item
            below.extend([child for child in inside if isinstance(child, _CONTAINERS)])
            items += len(item)
        if items > MAX_ITEMS:
            return _too_many()
        if not below:
            return None
        level = below
    return _too_deep()


def _too_many() -> Refusal:
    return Refusal(Reason.TOO_MANY_ITEMS, "", f"holds more than {MAX_ITEMS} values")


def _too_deep() -> Refusal:
    return Refusal(Reason.TOO_DEEP, "", f"is nested deeper than {MAX_DEPTH} levels")


def shaped(value: Any, shape: type[T], at: str = "") -> "T | Refusal":
    """Convert the value to `shape`, or return a refusal that names the field. `at`: the path of `value` in the document."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        field = (at + path.rstrip("`")).lstrip(".")
        return Refusal(Reason.INVALID_FIELD, field, text[:1].lower() + text[1:])
    except RecursionError:
        return _too_deep()
    except UnicodeEncodeError:
        # A key with a lone surrogate: msgspec compares keys as UTF-8.
        return unstorable(value, at) or Refusal(Reason.INVALID_FIELD, at.lstrip("."), "holds a lone surrogate")


def may_be_unstorable(raw: bytes) -> bool:
    """Return False when no string in this JSON can hold NUL or a lone surrogate: JSON can write them only as escapes."""
    return _ESCAPES.search(raw) is not None


def unstorable(value: Any, at: str = "") -> Refusal | None:
    """Return the refusal of the first string below `value` (keys included) that may not be stored."""
    stack = [(at, value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, str):
            refusal = forbidden(item, path)
            if refusal is not None:
                return refusal
        elif isinstance(item, dict):
            for key, child in item.items():
                refusal = forbidden(key, path)
                if refusal is not None:
                    return refusal
                # The path is shown to people only. A key of a megabyte would be copied for each value below it.
                name = key[:_SHOWN]
                stack.append((f"{path}.{name}" if path else name, child))
        elif isinstance(item, list):
            stack.extend((f"{path}[{index}]", child) for index, child in enumerate(item))
    return None


def seconds_to_ms(value: float) -> int:
    """Convert a provider's seconds to milliseconds; 0 for a value that is not a plausible time."""
    if not math.isfinite(value) or not 0 < value < 32_503_680_000:
        return 0
    return int(value * 1000)


def _name(value: Any) -> str:
    names = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
