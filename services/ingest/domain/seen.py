"""The ids of messages that were already received, per identity, for at least the window of the slowest provider's
retries (7 days).

Ids are kept in chunks of a few dozen: one message changes one small chunk, so an active identity does not rewrite
its whole past with every message. A chunk is dropped when its newest id is older than the window. Ids therefore live
a little longer than the window and never shorter, except when one identity sends more than `most` messages in a
window: then its oldest chunk is dropped early, which is counted.
"""

from dataclasses import dataclass, field
from typing import Final

CHUNK_IDS: Final = 64


@dataclass(slots=True)
class Chunk:
    """Ids in order of arrival. `newest_ms` is the time at which the last one was added."""

    number: int
    newest_ms: int = 0
    ids: list[str] = field(default_factory=list)


class SeenIds:
    """The ids of one identity. Mutable: queried before the decision, changed after it."""

    __slots__ = ("_chunks", "_members", "_most", "_window_ms", "evicted_early")

    def __init__(self, window_ms: int, most: int) -> None:
        self._window_ms = window_ms
        self._most = most
        self._chunks: list[Chunk] = []
        self._members: set[str] = set()
        self.evicted_early = 0

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._members

    def __len__(self) -> int:
        return len(self._members)

    def load(self, chunk: Chunk) -> None:
        """Load a saved chunk. Chunks may be loaded in any order."""
        self._chunks.append(chunk)
        self._chunks.sort(key=lambda c: c.number)
        self._members.update(chunk.ids)

    def add(self, message_id: str, now_ms: int) -> tuple[Chunk, list[int]]:
        """Add an id. Returns the chunk to save and the numbers of the chunks dropped for lack of space."""
        last = self._chunks[-1] if self._chunks else None
        if last is None or len(last.ids) >= CHUNK_IDS:
            last = Chunk((last.number + 1) if last is not None else 0)
            self._chunks.append(last)
        last.ids.append(message_id)
        last.newest_ms = now_ms
        self._members.add(message_id)
        gone: list[int] = []
        while len(self._members) > self._most and len(self._chunks) > 1:
            gone.append(self._drop_oldest())
            self.evicted_early += CHUNK_IDS
        return last, gone

    def evict(self, now_ms: int) -> list[int]:
        """Drop the chunks whose newest id is older than the window; returns their numbers."""
        gone: list[int] = []
        while self._chunks and self._chunks[0].newest_ms + self._window_ms <= now_ms:
            gone.append(self._drop_oldest())
        return gone

    def next_eviction_ms(self) -> int | None:
        """Return when `evict` next has something to do."""
        return self._chunks[0].newest_ms + self._window_ms if self._chunks else None

    def numbers(self) -> list[int]:
        """Return the numbers of all chunks."""
        return [chunk.number for chunk in self._chunks]

    def _drop_oldest(self) -> int:
        chunk = self._chunks.pop(0)
        self._members.difference_update(chunk.ids)
        return chunk.number
