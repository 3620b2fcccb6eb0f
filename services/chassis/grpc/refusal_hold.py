"""Refusals that wait: a caller that asks too much gets its answer later, so that repeating costs it time and us little.

A refusal costs most of what a call costs. A client that repeats at once what was refused would keep the event loop busy
with refusals, and everyone else waiting; held back for a moment, each of its connections can ask only so often. Nothing
but a timer is kept meanwhile, no slot and no request. Refusals beyond the most that are held are given at once.
"""

import asyncio
import time
from collections.abc import Callable

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc_settings import GrpcLimits

_SHARE_OF_DEADLINE = 0.5  # the caller must still get the answer


class RefusalHold:
    """Delays refusals of one server."""

    def __init__(self, limits: GrpcLimits, now_s: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._now_s = now_s
        self._left = limits.refusals_per_s
        self._at_s = now_s()
        self.held = 0

    def delay(self, error: ChaparError, time_left_s: float | None) -> float:
        """Seconds for which this refusal waits; counts failed authentications."""
        wanted = 0.0
        if error.kind is ErrorKind.UNAUTHENTICATED:
            wanted = 0.0 if self._at_once() else self._limits.refusal_hold_s
        elif error.kind is ErrorKind.EXHAUSTED and error.retry_after_s is not None:
            wanted = min(error.retry_after_s, self._limits.refusal_hold_s)
        if time_left_s is not None:
            wanted = min(wanted, time_left_s * _SHARE_OF_DEADLINE)
        return wanted if self.held < self._limits.refusals_held else 0.0

    async def wait(self, error: ChaparError, time_left_s: float | None) -> None:
        """Waits as long as this refusal must."""
        delay = self.delay(error, time_left_s)
        if delay <= 0:
            return
        self.held += 1
        try:
            await asyncio.sleep(delay)
        finally:
            self.held -= 1

    def _at_once(self) -> bool:
        now_s = self._now_s()
        rate = self._limits.refusals_per_s
        self._left = min(rate, self._left + (now_s - self._at_s) * rate)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
