"""Timers by key. Lazy: a key may be returned too early, never too late; the caller checks what is due."""

import heapq


class Timers:
    """One wake-up per key, which may be moved."""

    __slots__ = ("_due", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._due: dict[str, int] = {}

    def set(self, key: str, due_ms: int | None) -> None:
        """Wake `key` at `due_ms` instead of its earlier time. None: do not wake it."""
        if due_ms is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due_ms:
            self._due[key] = due_ms
            heapq.heappush(self._heap, (due_ms, key))

    def next(self) -> int | None:
        """Return when the next timer is due, ms."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_ms: int, most: int = 1_000) -> list[str]:
        """Return at most `most` keys that are due, each once, and clear their timers."""
        found: list[str] = []
        while len(found) < most:
            due = self.next()
            if due is None or due > now_ms:
                break
            _, key = heapq.heappop(self._heap)
            del self._due[key]
            found.append(key)
        return found


def earliest(*dues: int | None) -> int | None:
    """Return the earliest of these times; None if there is none."""
    return min((due for due in dues if due is not None), default=None)
