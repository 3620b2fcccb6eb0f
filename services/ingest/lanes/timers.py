"""When to look at which entry again. Lazy: an entry may be named too early, never too late; looking decides."""

import heapq


class Timers:
    """One wake-up per key, moved at will."""

    __slots__ = ("_due", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._due: dict[str, int] = {}

    def set(self, key: str, due_ms: int | None) -> None:
        """Wake `key` at `due_ms`, and not when it was to be woken before; None: not at all."""
        if due_ms is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due_ms:
            self._due[key] = due_ms
            heapq.heappush(self._heap, (due_ms, key))

    def next(self) -> int | None:
        """When the next one is due, ms."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_ms: int, most: int = 1_000) -> list[str]:
        """Keys that are due, each once, at most so many; they are no longer set."""
        found: list[str] = []
        while len(found) < most:
            due = self.next()
            if due is None or due > now_ms:
                break
            _, key = heapq.heappop(self._heap)
            del self._due[key]
            found.append(key)
        return found
