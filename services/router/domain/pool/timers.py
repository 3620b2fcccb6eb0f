"""The times at which the engine wants to be woken.

Entries are never removed. The engine checks them when they come up and drops those that are no longer valid.

Entries of equal times are ordered by kind and id, so the order does not depend on when an entry was made.
"""

from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush
from typing import Final


class Timer(IntEnum):
    """The kinds of timers. Timers of equal times are served in this order."""

    LEASE = 1
    GRACE = 2
    OFFER = 3
    WRAP_UP = 4
    PLACE = 5
    REST = 6
    ADAPT = 7
    SILENCE = 8


_KINDS: Final = {kind.value: kind for kind in Timer}


class Timers:
    """A heap of (due, kind, id)."""

    __slots__ = ("_heap", "_live")

    def __init__(self, live: Callable[[int, Timer, str], bool]) -> None:
        """`live` returns whether an entry is still valid."""
        self._heap: list[tuple[int, int, str]] = []  # plain numbers: comparing members of an enumeration is slow
        self._live = live

    def arm(self, due: int, kind: Timer, entity: str) -> None:
        """Wake the engine at `due`."""
        heappush(self._heap, (due, kind.value, entity))

    def next(self) -> int | None:
        """Return when the next valid entry is due; None without entries."""
        heap = self._heap
        while heap:
            due, kind, entity = heap[0]
            if self._live(due, _KINDS[kind], entity):
                return due
            heappop(heap)
        return None

    def pop(self, now: int) -> tuple[Timer, str] | None:
        """Remove and return the next valid entry that is due; None when there is none."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, number, entity = heappop(heap)
            kind = _KINDS[number]
            if self._live(due, kind, entity):
                return kind, entity
        return None
