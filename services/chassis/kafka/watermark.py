"""The time up to which a lane has handled its whole input.

A timer that fires because something did NOT come (no reply, no renewal, no acceptance) must not fire while the record may wait in the log.
So a lane asks for the end of its input, and when it has handled everything before that end, it knows its input up to the instant at which it
asked:

    ask (instant t) ──▶ the broker: the end was E ──▶ every record before E is offered ──▶ and handled: watermark = t

The end counts records of transactions that are still open, because their outcome is not known. Silence is not evidence: a lane that was
stopped, or whose broker is away, has read nothing for a while and knows nothing.

While a long backlog is read, the watermark follows the times at which its records were written.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

MARGIN_MS: Final = 1_000
"""Records of several writers are not exactly in the order of their times: the newest one proves only that much less."""


class Followed(NamedTuple):
    """Passed to a processor before the timers of a batch."""

    until_ms: int
    """Every record that was in the input at this instant has been handled."""
    returned: bool = False
    """The log was out of reach since the last batch, or this process was stopped: what did not come in that time could not come."""


@dataclass(slots=True)
class Watermark:
    """Watermark of one partition's lane. Times are milliseconds of the lane's clock."""

    slack_ms: int = 0
    """A watermark that is not older than this counts as the present."""
    reached_ms: int = 0
    _asked_ms: int | None = None
    _end: int | None = None

    def ask(self, at_ms: int) -> None:
        """Note that the end of the input is asked for at an instant."""
        self._asked_ms, self._end = at_ms, None

    def offered(self, end: int) -> None:
        """Note that every record before `end`, the answer to the last question, was offered to the lane."""
        self._end = end

    def handled(self, written_at_ms: int) -> None:
        """Note that a record was handled: during a backlog, the watermark follows the log.

        A record that was written after the question proves nothing: it is behind the end that was asked for, or its writer's clock is wrong.
        """
        if self._asked_ms is not None and written_at_ms <= self._asked_ms:
            self.reached_ms = max(self.reached_ms, written_at_ms - MARGIN_MS)

    def until(self, now_ms: int, waiting: int | None) -> int:
        """Return the instant up to which timers may fire, not later than `now_ms`.

        `waiting`: the offset of the first record that was offered and not handled; None when there is none.
        """
        if self._asked_ms is not None and self._end is not None and (waiting is None or waiting >= self._end):
            self.reached_ms = max(self.reached_ms, self._asked_ms)
            self._asked_ms = self._end = None
        return now_ms if now_ms - self.reached_ms <= self.slack_ms else min(now_ms, self.reached_ms)
