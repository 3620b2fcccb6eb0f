"""Results of recent commands: a repeated command changes nothing and has the same result.

Bounded by time and by number, so that a shard at full load does not fill its memory: above `Limits.results_kept` commands in the window it
is shorter. A command that is repeated later is decided by the state alone, which refuses what no longer applies.

Entries are kept in chunks, one for each batch: the changelog then has one record for a batch, not one for a command.
"""

from collections import deque
from typing import Final

from services.router.domain.pool.limits import DEFAULT

WINDOW_MS: Final = 600_000

Entry = tuple[str, str]
"""Command id, reason (empty for a command that was carried out)."""
Chunk = tuple[int, int, tuple[Entry, ...]]
"""Number, time, entries."""


class Dedup:
    """The recent commands of one pool."""

    __slots__ = ("_chunks", "_entries", "_fresh", "_most", "_next")

    def __init__(self, most: int = DEFAULT.results_kept) -> None:
        """`most`: the results that are kept, but for the chunk that exceeds it."""
        self._most = most
        self._entries: dict[str, str] = {}
        self._chunks: deque[Chunk] = deque()
        self._fresh: list[Entry] = []
        self._next = 1

    def __len__(self) -> int:
        return len(self._entries)

    def result(self, command_id: str) -> str | None:
        """Return the reason with which the command ended; None when it is new."""
        return self._entries.get(command_id)

    def remember(self, command_id: str, reason: str) -> None:
        """Record a command that was decided, with its reason."""
        self._entries[command_id] = reason
        self._fresh.append((command_id, reason))

    def collect(self, now: int) -> tuple[list[Chunk], list[int]]:
        """Return the new chunks (number, time, entries) since the last call, and the numbers of the chunks that were removed."""
        new: list[Chunk] = []
        if self._fresh:
            new.append((self._next, now, tuple(self._fresh)))
            self._chunks.append(new[0])
            self._next += 1
            self._fresh = []
        gone: list[int] = []
        while self._chunks and (self._chunks[0][1] <= now - WINDOW_MS or len(self._entries) > self._most):
            number, _, entries = self._chunks.popleft()
            for command_id, _reason in entries:
                self._entries.pop(command_id, None)
            gone.append(number)
        return new, gone

    def restore(self, number: int, at_ms: int, entries: tuple[Entry, ...]) -> None:
        """Add one chunk, in order of its number."""
        self._chunks.append((number, at_ms, entries))
        self._entries.update(entries)
        self._next = max(self._next, number + 1)
