"""One timer for all records that were published in one turn of the event loop with the same time-out."""

import asyncio
from typing import Any


class PublishDeadline:
    """`over` is set when the timer has fired, or is not needed any more: then no record may be added."""

    __slots__ = ("_outcomes", "_timer", "_unsettled", "over")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        self._outcomes: list[asyncio.Future[Any]] = []
        self._unsettled = 0
        self.over = False
        self._timer = loop.call_later(timeout, self._expire)

    def add(self, outcome: "asyncio.Future[Any]") -> None:
        """Add a record. At the deadline its outcome is a TimeoutError, unless it has one."""
        self._outcomes.append(outcome)
        self._unsettled += 1

    def settled(self) -> None:
        """Call once for each record, when its outcome is known or does not matter any more."""
        self._unsettled -= 1
        if not self._unsettled:
            self.over = True
            self._outcomes.clear()
            self._timer.cancel()

    def _expire(self) -> None:
        self.over = True
        for outcome in self._outcomes:
            if not outcome.done():
                outcome.set_result(TimeoutError())
        self._outcomes.clear()
