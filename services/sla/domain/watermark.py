"""How far the clock may go before the log has been read.

A reply that was given in time must not be followed by a breach because its event waited in the log. So:

- A milestone fires `settle_ms` after it is due: time for the event of a reply given at the last moment to arrive.
- While the lane is behind (it has just started, or the newest record read is older than `behind_ms`), milestones fire
  only up to the time that the log itself has reached. The lane is no longer behind once it has read a recent record, or
  if no record came for `quiet_ms`.

No milestone fires early. While the lane is behind, milestones fire late, but never wrongly.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Watermark:
    """Watermark of one lane. All times are milliseconds."""

    settle_ms: int = 50
    behind_ms: int = 1_000
    quiet_ms: int = 500
    _behind: bool = True
    _last_record_at: int = 0
    _reached: int = 0

    def started(self, now_ms: int) -> None:
        """Begin after a restore: records written meanwhile are still to be read."""
        self._behind = True
        self._last_record_at = now_ms

    def read(self, written_at_ms: int, now_ms: int) -> None:
        """Note that a record was read, and when it had been written to the log."""
        self._last_record_at = now_ms
        self._reached = max(self._reached, min(written_at_ms, now_ms))
        self._behind = now_ms - written_at_ms > self.behind_ms

    def until(self, now_ms: int) -> int:
        """Return the instant up to which due milestones may fire."""
        if self._behind and now_ms - self._last_record_at >= self.quiet_ms:
            self._behind = False
        return min(now_ms, self._reached) - self.settle_ms if self._behind else now_ms - self.settle_ms

    def wakeup(self, due_ms: int | None, now_ms: int) -> int | None:
        """Return when to check a milestone again that is due at `due_ms`; None if there is none."""
        if due_ms is None:
            return None
        at = due_ms + self.settle_ms
        return max(at, self._last_record_at + self.quiet_ms) if self._behind else at
