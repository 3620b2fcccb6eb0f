"""The values of changelogs: one byte of version, then MessagePack.

A lane reads the versions that it names; it refuses all others, because a restored state is never guessed. A new field with a default does not need
another version. Another meaning of a field does. Then the reader must handle both, and the writer too: it writes the version before until an operator
has finalised the new one (`changelog_formats`, docs/upgrading.md).
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

import msgspec

from services.chassis.kafka.changelog_formats import NEWEST

T = TypeVar("T")
_NONE_EARLIER: Final[Mapping[int, Callable[[Any], Any]]] = MappingProxyType({})


class UnknownVersion(ValueError):  # noqa: N818 - a verdict about the input
    """An entry that this program does not know how to read."""

    def __init__(self, value: bytes, known: Iterable[int]) -> None:
        found = f"version {value[0]}" if value else "no version"
        super().__init__(f"a changelog entry of {found}, this program reads {', '.join(map(str, known))}")


class ChangelogCodec(Generic[T]):
    """Encodes the values of one kind of entry."""

    def __init__(
        self,
        kind: type[T] | Any,
        *,
        version: int = 1,
        reads: Iterable[int] = (),
        earlier: Mapping[int, Callable[[T], Any]] = _NONE_EARLIER,
    ) -> None:
        """`kind`: the type that `decode` returns. `reads`: earlier versions of the same shape as `version`, or that the caller can distinguish.
        `earlier`: earlier versions that can still be written, each with what returns its form of a value."""
        if not 1 <= version <= NEWEST:
            raise ValueError(f"a version is 1 to {NEWEST}, so that no entry begins like one without a version")
        self._mark = bytes([version])
        self._version = version
        self._reads = frozenset((version, *reads, *earlier))
        self._earlier = earlier
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def encode(self, value: T, version: int = 0) -> bytes:
        """Return the entry's value in a version of `LaneContext.format`; 0: in the newest. Raises KeyError for one that is never written."""
        if version in (0, self._version):
            return self._mark + self._encode(value)
        return bytes([version]) + self._encode(self._earlier[version](value))

    def decode(self, value: bytes) -> T:
        """Return the entry. Raises UnknownVersion, and msgspec.MsgspecError for bytes that are not an entry of this kind."""
        if not value or value[0] not in self._reads:
            raise UnknownVersion(value, sorted(self._reads))
        found: T = self._decode(memoryview(value)[1:])
        return found
