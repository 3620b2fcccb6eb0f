"""An entry of the registry: functions that take text or bytes from outside, and how to call them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Feed = Callable[[Any], object]
Read = Callable[[str], object]
_MEGABYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One function, or several functions that are called together."""

    functions: tuple[str, ...]
    feed: Feed
    inputs: str = "texts"
    on_loop: bool = True
    most: int = 4 * _MEGABYTE

    def given(self, raw: bytes) -> "str | bytes":
        """Convert bytes for `feed`: to a text if it takes texts."""
        return as_text(raw) if self.inputs == "texts" else raw


def as_text(raw: bytes) -> str:
    """Decode any bytes to a text, which may contain anything, also lone surrogates."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


def all_of(*functions: Read) -> Feed:
    """Return a feed that gives its input to each function."""

    def feed(given: str) -> None:
        for each in functions:
            each(given)

    return feed


def refusing(function: Feed, *errors: type[Exception]) -> Feed:
    """Return a feed for which these errors are a valid answer."""

    def called(given: Any) -> object:
        try:
            return function(given)
        except errors:
            return None

    return called


def state_feed(read: Callable[[bytes, bytes], object], *keys: bytes) -> Feed:
    """Return a feed that reads the state of a lane. The errors of msgspec and of Unicode are ValueErrors."""

    def feed(raw: bytes) -> None:
        for key in keys:
            refusing(lambda value, key=key: read(key, value), ValueError, TypeError, RecursionError)(raw)  # type: ignore[misc]

    return feed


def named(module: str, *functions: str) -> tuple[str, ...]:
    """Return the full names of functions of a module."""
    return tuple(f"{module}.{function}" for function in functions)
