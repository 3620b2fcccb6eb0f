"""The outbox of one batch: the processor's writes, in order, with marks that show whether a record has written anything."""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from services.chassis.kafka.records import EPOCH_HEADER, TRACE_HEADERS, Headers, InvalidRecord
from services.chassis.reasons import Reason

OUTPUT_TOO_LARGE: Final = Reason.OUTPUT_TOO_LARGE
RESERVED_KEY: Final = b"\x00"
_HEADER_OVERHEAD: Final = 10  # upper bound: varints of the lengths of one header
_MOST_BYTES_A_CHARACTER: Final = 4
_SLACK: Final = 256  # more than the epoch's header and the framing of a record
_RECORD_OVERHEAD: Final = 32  # upper bound: varints of lengths, deltas and attributes of one record

_DIGESTED: Final = struct.Struct(">HiII")
"""In the digest before each output: lengths of the topic, of the key and of the value; and the partition, -1 for none."""


class OutputTooLarge(InvalidRecord):
    """An output exceeds the limit. The processor may have changed already: the batch must be replayed without its input."""


class Send(NamedTuple):  # not a dataclass: one is made per output, and a tuple costs a third
    """One output record; its topic is the logical name."""

    topic: str
    partition: int | None
    key: bytes
    value: bytes
    headers: Headers
    verdict: bool = False  # a dead letter: the runner's own record, not part of the digest


Mark = tuple[int, int, int]
"""The number of sends, state changes and effects before a record was handled."""


@dataclass(slots=True)
class BatchOutbox:
    """Implements `contract.Outbox` for one batch."""

    epoch: int
    limit: int
    sends: list[Send] = field(default_factory=list)
    state: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    effects: list[Callable[[], None]] = field(default_factory=list)
    refused: OutputTooLarge | None = None
    epoch_headers: Headers = field(init=False)
    """The header that is on every record of this owner, alone."""
    _cause: Headers = ()

    def __post_init__(self) -> None:
        self.epoch_headers = ((EPOCH_HEADER, b"%d" % self.epoch),)

    def caused_by(self, headers: Headers) -> None:
        """From now on, copy trace headers among these to the outputs."""
        if headers or self._cause:
            self._cause = tuple([header for header in headers if header[0] in TRACE_HEADERS])

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers = (), partition: int | None = None) -> None:
        if headers or self._cause:
            headers = self._completed(headers)
            self._check(topic, record_bytes(key, value, headers))
        else:
            headers = self.epoch_headers
            if len(key) + len(value) + _SLACK > self.limit:
                self._check(topic, record_bytes(key, value, headers))
        self.sends.append(Send(topic, partition, key, value, headers))

    def dead_letter(self, topic: str, key: bytes, value: bytes, headers: Headers = ()) -> None:
        """Write the runner's own record about an input that cannot be processed."""
        headers = self._completed(headers)
        self._check(topic, record_bytes(key, value, headers))
        self.sends.append(Send(topic, None, key, value, headers, verdict=True))

    def _completed(self, headers: Headers) -> Headers:
        if self._cause and not any(name == TRACE_HEADERS[0] for name, _ in headers):
            headers = headers + self._cause
        return headers + self.epoch_headers  # sums of tuples: compiled, unpacking them makes a list first

    def put(self, key: bytes, value: bytes) -> None:
        self._own(key)
        self._check("changelog", record_bytes(key, value, self.epoch_headers))
        self.state.append((key, value))

    def delete(self, key: bytes) -> None:
        self._own(key)
        self.state.append((key, None))

    def after_commit(self, effect: Callable[[], None]) -> None:
        self.effects.append(effect)

    def digest(self) -> bytes:
        parts: list[bytes] = []
        for send in self.sends:
            if send.verdict:
                continue
            topic, key, value = send.topic.encode(), send.key, send.value
            partition = -1 if send.partition is None else send.partition
            parts.append(_DIGESTED.pack(len(topic), partition, len(key), len(value)))
            parts.append(topic)
            parts.append(key)
            parts.append(value)
        return hashlib.sha256(b"".join(parts)).digest()

    def mark(self) -> Mark:
        """Return a mark of the current writes."""
        return len(self.sends), len(self.state), len(self.effects)

    @property
    def empty(self) -> bool:
        """Whether nothing was written and nothing waits for the commit."""
        return not (self.sends or self.state or self.effects)

    def changes(self) -> dict[bytes, bytes | None]:
        """Return the changelog entries, last write per key, in the order of the last writes."""
        last: dict[bytes, bytes | None] = {}
        for key, value in self.state:
            last.pop(key, None)
            last[key] = value
        return last

    def _own(self, key: bytes) -> None:
        if not key or key.startswith(RESERVED_KEY):
            raise ValueError("a changelog key must not be empty or begin with a zero byte")

    def _check(self, topic: str, size: int) -> None:
        if size > self.limit:
            self.refused = OutputTooLarge(OUTPUT_TOO_LARGE, f"{size} bytes for {topic}, limit {self.limit}")
            raise self.refused


def record_bytes(key: bytes, value: bytes, headers: Headers) -> int:
    """Return an upper bound of the size of one record on the wire."""
    size = _RECORD_OVERHEAD + len(key) + len(value)
    for name, content in headers:
        size += _MOST_BYTES_A_CHARACTER * len(name) + len(content) + _HEADER_OVERHEAD
    return size
