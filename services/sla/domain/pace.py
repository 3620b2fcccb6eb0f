"""How far the clock may go before the log has been read.

An answer that was given in time must not be followed by a breach because its event waited in the log. So:

- A milestone fires `settle_ms` after it is due: time for the event of an answer given at the last moment to arrive.
- While the lane is behind (it has just started, or the newest record read is older than `behind_ms`), milestones fire only up to the
  time that the log itself has reached. It is no longer behind once a recent record was read or nothing came for `quiet_ms`.

Nothing is ever early; being behind makes it late, never wrong.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """Of one lane. All times are milliseconds."""

    settle_ms: int = 50
    behind_ms: int = 1_000
    quiet_ms: int = 500
    _behind: bool = True
    _last_record_at: int = 0
    _reached: int = 0

    def started(self, now_ms: int) -> None:
        """The lane has been restored: what came meanwhile is yet to be read."""
        self._behind = True
        self._last_record_at = now_ms

    def read(self, written_at_ms: int, now_ms: int) -> None:
        """A record was read that had been written to the log at a time."""
        self._last_record_at = now_ms
        self._reached = max(self._reached, min(written_at_ms, now_ms))
        self._behind = now_ms - written_at_ms > self.behind_ms

    def until(self, now_ms: int) -> int:
        """Milestones due at or before this instant may fire."""
        if self._behind and now_ms - self._last_record_at >= self.quiet_ms:
            self._behind = False
        return min(now_ms, self._reached) - self.settle_ms if self._behind else now_ms - self.settle_ms

    def wakeup(self, due_ms: int | None, now_ms: int) -> int | None:
        """When to look again at a milestone that is due at some time."""
        if due_ms is None:
            return None
        at = due_ms + self.settle_ms
        return max(at, self._last_record_at + self.quiet_ms) if self._behind else at
