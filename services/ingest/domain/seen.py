"""The ids of messages that were already received, per identity, for at least the window of the slowest provider's
retries (7 days).

Ids are saved in chunks of a few dozen: one message changes one small chunk, so an active identity does not rewrite
its whole past with every message. A chunk is dropped when its newest id is older than the window. Ids therefore live
a little longer than the window and never shorter, except when one identity sends more than `most` messages in a
window: then its oldest chunk is dropped early, which is counted.

Memory holds a digest of 8 bytes of each id. Two ids of one identity have the same digest once in 10^16 messages, of an
identity with a thousand ids. The ids themselves are kept only for the chunk that grows, because it is saved again with
each id. After a restore, or after the identity was packed (`packed`), the next id begins another chunk.
"""

import struct
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

CHUNK_IDS: Final = 64
_DIGEST: Final = 8
_SPAN: Final = struct.Struct(">IBIB")
"""Number, chunks, newest (seconds), count."""
_MANY: Final = 255
_TOGETHER_MS: Final = 86_400_000


@dataclass(slots=True)
class Chunk:
    """Ids in order of arrival. `newest_ms` is the time at which the last one was added."""

    number: int
    newest_ms: int = 0
    ids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Span:
    """Chunks in memory, from `number` on, and the number of their digests. They are dropped together."""

    number: int
    chunks: int
    newest_ms: int
    count: int

    def numbers(self) -> range:
        """Return the numbers of these chunks."""
        return range(self.number, self.number + self.chunks)

    def may_join(self, later: "_Span") -> bool:
        """Return whether the next chunks may be dropped together with these: they are few, and about as old."""
        return (
            self.number + self.chunks == later.number
            and self.count + later.count <= CHUNK_IDS
            and later.newest_ms - self.newest_ms <= _TOGETHER_MS
        )


class SeenIds:
    """The ids of one identity. Mutable: queried before the decision, changed after it."""

    __slots__ = ("_digests", "_growing", "_most", "_spans", "_window_ms", "evicted_early")

    def __init__(self, window_ms: int, most: int) -> None:
        self._window_ms = window_ms
        self._most = most
        self._spans: list[_Span] = []
        self._digests = bytearray()
        """Of all ids, in the order of the chunks."""
        self._growing: Chunk | None = None
        self.evicted_early = 0

    def __contains__(self, message_id: str) -> bool:
        wanted = _digest(message_id)
        at = self._digests.find(wanted)
        while at % _DIGEST and at > 0:
            at = self._digests.find(wanted, at + 1)
        return at >= 0

    def __len__(self) -> int:
        return len(self._digests) // _DIGEST

    def load(self, chunk: Chunk) -> None:
        """Load a saved chunk. Chunks may be loaded in any order."""
        later = next((n for n, span in enumerate(self._spans) if span.number > chunk.number), len(self._spans))
        at = sum(span.count for span in self._spans[:later]) * _DIGEST
        self._spans.insert(later, _Span(chunk.number, 1, chunk.newest_ms, len(chunk.ids)))
        self._digests[at:at] = b"".join(map(_digest, chunk.ids))

    def add(self, message_id: str, now_ms: int) -> tuple[Chunk, list[int]]:
        """Add an id. Returns the chunk to save and the numbers of the chunks dropped for lack of space."""
        growing = self._growing
        if growing is None or len(growing.ids) >= CHUNK_IDS:
            last = self._spans[-1] if self._spans else None
            growing = self._growing = Chunk(last.number + last.chunks if last is not None else 0)
            self._spans.append(_Span(growing.number, 1, now_ms, 0))
        growing.ids.append(message_id)
        growing.newest_ms = self._spans[-1].newest_ms = now_ms
        self._spans[-1].count += 1
        self._digests += _digest(message_id)
        gone: list[int] = []
        while len(self) > self._most and len(self._spans) > 1:
            self.evicted_early += self._spans[0].count
            gone += self._drop_oldest()
        return growing, gone

    def evict(self, now_ms: int) -> list[int]:
        """Drop the chunks whose newest id is older than the window; returns their numbers."""
        gone: list[int] = []
        while self._spans and self._spans[0].newest_ms + self._window_ms <= now_ms:
            gone += self._drop_oldest()
        return gone

    def next_eviction_ms(self) -> int | None:
        """Return when `evict` next has something to do."""
        return self._spans[0].newest_ms + self._window_ms if self._spans else None

    def numbers(self) -> list[int]:
        """Return the numbers of all chunks."""
        return [number for span in self._spans for number in span.numbers()]

    def packed(self) -> bytes:
        """Return everything except the ids of the chunk that grows: 11 bytes at least, and 8 for each id."""
        spans: list[_Span] = []
        for span in self._spans:
            if spans and spans[-1].may_join(span):
                spans[-1] = _Span(
                    spans[-1].number, spans[-1].chunks + span.chunks, span.newest_ms, spans[-1].count + span.count
                )
            else:
                spans.append(span)
        number = bytes((len(spans),)) if len(spans) < _MANY else bytes((_MANY,)) + len(spans).to_bytes(3, "big")
        heads = (_SPAN.pack(each.number, each.chunks, -(-each.newest_ms // 1000), each.count) for each in spans)
        return number + b"".join(heads) + self._digests

    def unpack(self, packed: bytes) -> None:
        """Replace everything by ids that were packed."""
        number, at = packed[0], 1
        if number == _MANY:
            number, at = int.from_bytes(packed[1:4], "big"), 4
        end = at + number * _SPAN.size
        self._spans = [
            _Span(first, chunks, newest_s * 1000, count)
            for first, chunks, newest_s, count in _SPAN.iter_unpack(packed[at:end])
        ]
        self._digests = bytearray(packed[end:])
        self._growing = None

    def _drop_oldest(self) -> range:
        span = self._spans.pop(0)
        del self._digests[: span.count * _DIGEST]
        if not self._spans:
            self._growing = None
        return span.numbers()


def _digest(message_id: str) -> bytes:
    return blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
