"""The outbox of one batch: what the processor wrote, in order, with marks to roll one record's part back."""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from services.chassis.kafka.records import EPOCH_HEADER, TRACE_HEADERS, Headers, InvalidRecord, Record

OUTPUT_TOO_LARGE: Final = "OUTPUT_TOO_LARGE"
RESERVED_KEY: Final = b"\x00"
_HEADER_OVERHEAD: Final = 10  # varints of the lengths of one header, at most
_RECORD_OVERHEAD: Final = 32  # varints of lengths, deltas and attributes of one record, at most


class OutputTooLarge(InvalidRecord):
    """An output exceeds the limit. The processor may already have changed: the batch must be replayed without its input."""


@dataclass(frozen=True, slots=True)
class Send:
    """One output record, topic by logical name."""

    topic: str
    partition: int | None
    key: bytes
    value: bytes
    headers: Headers
    verdict: bool = False  # a dead letter: the runner's own record, not part of the digest


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the outbox had come before a record was handled."""

    sends: int
    state: int
    effects: int


@dataclass(slots=True)
class BatchOutbox:
    """Implements `contract.Outbox` for one batch."""

    epoch: int
    limit: int
    sends: list[Send] = field(default_factory=list)
    state: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    effects: list[Callable[[], None]] = field(default_factory=list)
    refused: OutputTooLarge | None = None
    _cause: Headers = ()
    _epoch_header: tuple[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._epoch_header = (EPOCH_HEADER, b"%d" % self.epoch)

    @property
    def epoch_headers(self) -> Headers:
        """The header that every record of this owner carries."""
        return (self._epoch_header,)

    def caused_by(self, record: Record | None) -> None:
        """From now on, trace headers of this record are passed on (None: of no record)."""
        self._cause = () if record is None else tuple(h for h in record.headers if h[0] in TRACE_HEADERS)

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers = (), partition: int | None = None) -> None:
        self._append(topic, key, value, headers, partition, verdict=False)

    def dead_letter(self, topic: str, key: bytes, value: bytes, headers: Headers) -> None:
        """The runner's own record about an input that cannot be processed."""
        self._append(topic, key, value, headers, None, verdict=True)

    def _append(
        self, topic: str, key: bytes, value: bytes, headers: Headers, partition: int | None, *, verdict: bool
    ) -> None:
        if self._cause and not any(name == TRACE_HEADERS[0] for name, _ in headers):
            headers = (*headers, *self._cause)
        headers = (*headers, self._epoch_header)
        self._check(topic, record_bytes(key, value, headers))
        self.sends.append(Send(topic, partition, key, value, headers, verdict))

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
        total = hashlib.sha256()
        for send in self.sends:
            if send.verdict:
                continue
            topic = send.topic.encode()
            partition = -1 if send.partition is None else send.partition
            total.update(struct.pack(">HiII", len(topic), partition, len(send.key), len(send.value)))
            total.update(topic)
            total.update(send.key)
            total.update(send.value)
        return total.digest()

    def mark(self) -> Mark:
        """Where to roll back to."""
        return Mark(len(self.sends), len(self.state), len(self.effects))

    def rollback(self, mark: Mark) -> None:
        """Forget everything since the mark."""
        del self.sends[mark.sends :]
        del self.state[mark.state :]
        del self.effects[mark.effects :]

    @property
    def empty(self) -> bool:
        """Whether nothing was written and nothing waits for the commit."""
        return not (self.sends or self.state or self.effects)

    def changes(self) -> dict[bytes, bytes | None]:
        """The changelog's part, last write per key, in the order of the last writes."""
        last: dict[bytes, bytes | None] = {}
        for key, value in self.state:
            last.pop(key, None)
            last[key] = value
        return last

    def _own(self, key: bytes) -> None:
        if not key or key.startswith(RESERVED_KEY):
            raise ValueError("changelog keys are not empty and do not begin with a zero byte")

    def _check(self, topic: str, size: int) -> None:
        if size > self.limit:
            self.refused = OutputTooLarge(OUTPUT_TOO_LARGE, f"{size} bytes for {topic}, limit {self.limit}")
            raise self.refused


def record_bytes(key: bytes, value: bytes, headers: Headers) -> int:
    """Upper bound of the size of one record on the wire."""
    return (
        _RECORD_OVERHEAD
        + len(key)
        + len(value)
        + sum(len(name.encode()) + len(content) + _HEADER_OVERHEAD for name, content in headers)
    )
