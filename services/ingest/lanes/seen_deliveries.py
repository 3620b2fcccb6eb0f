"""The ids of deliveries that were already requested, by conversation, in the sender lane's changelog.

A repeated request has no effect for as long as its id is kept. The limits are those of `domain/seen.py`.
"""

from collections.abc import Iterable

from services.chassis.kafka.lane import Outbox
from services.ingest.domain.deliveries import SenderLimits
from services.ingest.domain.seen import SeenIds
from services.ingest.translate.sender import SenderState


class SeenDeliveries:
    """The ids of one partition. Each change also writes the changelog."""

    def __init__(self, limits: SenderLimits, state: SenderState) -> None:
        self._limits = limits
        self._state = state
        self._of: dict[str, SeenIds] = {}

    def restore(self, key: bytes, value: bytes) -> None:
        """Load an entry of the changelog."""
        self._ids(self._state.seen_owner(key)).load(self._state.chunk(value))

    def has(self, place: str, delivery_id: str) -> bool:
        """Return whether this delivery was already requested."""
        return delivery_id in self._of.get(place, ())

    def add(self, place: str, delivery_id: str, now_ms: int, outbox: Outbox) -> None:
        """Add an id."""
        chunk, gone = self._ids(place).add(delivery_id, now_ms)
        outbox.put(self._state.seen_key(place, chunk.number), self._state.encode(chunk))
        self._delete(place, gone, outbox)

    def evict(self, place: str, now_ms: int, outbox: Outbox) -> None:
        """Drop ids that are older than the window."""
        seen = self._of.get(place)
        if seen is None:
            return
        self._delete(place, seen.evict(now_ms), outbox)
        if not len(seen):
            del self._of[place]

    def next_eviction_ms(self, place: str) -> int | None:
        """Return when `evict` next has something to do for a conversation."""
        seen = self._of.get(place)
        return seen.next_eviction_ms() if seen is not None else None

    def put_away(self, place: str) -> bytes:
        """Remove the ids of a conversation from here, and return them packed; empty when there are none."""
        seen = self._of.pop(place, None)
        return seen.packed() if seen is not None else b""

    def take_back(self, place: str, packed: bytes) -> None:
        """Put the ids of a conversation back."""
        if packed:
            self._ids(place).unpack(packed)

    def _delete(self, place: str, chunks: Iterable[int], outbox: Outbox) -> None:
        for number in chunks:
            outbox.delete(self._state.seen_key(place, number))

    def _ids(self, place: str) -> SeenIds:
        seen = self._of.get(place)
        if seen is None:
            seen = SeenIds(self._limits.duplicate_window_ms, self._limits.duplicate_ids_most)
            self._of[place] = seen
        return seen
