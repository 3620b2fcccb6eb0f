"""Delays refusals: a caller that sends too many calls gets its answers later, so that its repetitions cost little.

A refusal costs most of what a call costs. A client that repeats a refused call at once would keep the event loop busy with
refusals, and other callers would wait. With a delay, each of its connections can call only a few times a second. A delayed
refusal has no slot. gRPC keeps the bytes of its request until the call has ended, so they are counted: refusals beyond the
limit of delayed ones, in number or in bytes, are sent at once.
"""

import asyncio
import random
import time
from collections.abc import Callable

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc_settings import GrpcLimits

_SPREAD = 0.5
_SHARE_OF_DEADLINE = 0.5  # the caller must still get the answer


class RefusalHold:
    """Delays refusals of one server."""

    def __init__(
        self,
        limits: GrpcLimits,
        now_s: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance` returns a random number from 0 to 1."""
        self._limits = limits
        self._now_s = now_s
        self._chance = chance
        self._left = limits.refusals_per_s
        self._at_s = now_s()
        self.held = 0
        self.held_bytes = 0

    def delay(self, error: ChaparError, time_left_s: float | None, size: int) -> float:
        """Return the delay of this refusal in seconds; counts failed authentications. `size`: bytes of the refused request."""
        wanted = 0.0
        if error.kind is ErrorKind.UNAUTHENTICATED:
            wanted = 0.0 if self._at_once() else self._limits.refusal_hold_s
        elif error.kind is ErrorKind.EXHAUSTED and error.retry_after_s is not None:
            wanted = min(error.retry_after_s, self._limits.refusal_hold_s)
        if time_left_s is not None:
            wanted = min(wanted, time_left_s * _SHARE_OF_DEADLINE)
        # Calls that were refused together must not come back together: each wave would hold the event loop.
        wanted *= 1 - _SPREAD * self._chance()
        fits = self.held < self._limits.refusals_held and self.held_bytes + size <= self._limits.refusals_held_bytes
        return wanted if fits else 0.0

    async def wait(self, delay_s: float, size: int) -> None:
        """Wait for the delay that `delay` returned."""
        if delay_s <= 0:
            return
        self.held += 1
        self.held_bytes += size
        try:
            await asyncio.sleep(delay_s)
        finally:
            self.held -= 1
            self.held_bytes -= size

    def _at_once(self) -> bool:
        now_s = self._now_s()
        rate = self._limits.refusals_per_s
        self._left = min(rate, self._left + (now_s - self._at_s) * rate)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
