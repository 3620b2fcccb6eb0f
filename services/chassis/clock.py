"""The one source of "now".

Time inside Chapar is `int` milliseconds since the Unix epoch, UTC. A core never reads a clock: its caller passes
`now_ms`. Adapters take a `Clock`, so that a test advances time instead of sleeping.
"""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns milliseconds since the Unix epoch, UTC. May step backwards when the machine's clock is corrected."""


def system_clock() -> int:
    """Return the machine's time, in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only on `advance`. It never goes backwards."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = start_ms

    def __call__(self) -> int:
        return self._now_ms

    def advance(self, ms: int) -> int:
        """Move the clock forward by `ms` milliseconds and return the new time."""
        if ms < 0:
            raise ValueError(f"a manual clock only goes forward, not by {ms} ms")
        self._now_ms += ms
        return self._now_ms
