"""Finds the watermark of one partition's lane: asks for the log's end, and notices when the log was out of reach.

The end is asked for only when a timer is due and the watermark is too old to let it fire: an idle lane asks nothing.

The log was out of reach when the consumer got no response of its broker for `AWAY_S` seconds, although an idle fetch is answered several times
a second. It does not matter whether the broker was away or this process was stopped.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from services.chassis.kafka.clients import BrokerError
from services.chassis.kafka.watermark import Followed, Watermark

log = logging.getLogger(__name__)

AWAY_S: Final = 2.5
_ANSWER: Final = 5.0
_AGAIN_LEAST, _AGAIN_MOST = 0.05, 1.0
_NOT_YET: Final = 0.05
"""Seconds until a timer that may not fire yet is looked at again, if nothing wakes the lane before."""
_LOOK: Final = 0.01
"""Seconds between two looks at the position: markers of transactions move it, and wake no lane."""
_EARLY_MS: Final = 40
"""With a slack, the end is asked for so long before a timer is due, so that the timer need not wait for the answer."""
PATIENCE_S: Final = 10.0
"""How long a transaction that stays open may hold timers back. Its writer is gone by then, or was fenced; a record that turns up
after all is corrected."""


class Feed(Protocol):
    """The group's consumer, as it looks to one lane."""

    async def read_to(self, partition: int) -> int | None:
        """Return the offset up to which records were offered; None when the partition was taken away."""

    def answered_at(self, partition: int) -> int | None:
        """Return a number that changes with each response of the broker, also an empty one; None before the first."""


class Progress:
    """See the module. Use it in one event loop, and `close` it."""

    def __init__(
        self,
        feed: Feed,
        partition: int,
        *,
        end: Callable[[], Awaitable[int]],
        clock: Callable[[], int],
        wake: Callable[[], None],
        paused: Callable[[], bool],
        slack_ms: int = 0,
        patience_s: float = PATIENCE_S,
        away_s: float = AWAY_S,
    ) -> None:
        """`end`: asks for the input's end, with open transactions; raises KafkaError, OSError or TimeoutError. `wake`: called when `permits`
        may have another answer. `paused`: whether the lane has paused the partition, so that it is not fetched."""
        self.watermark = Watermark(slack_ms)
        self._feed = feed
        self._partition = partition
        self._end = end
        self._clock = clock
        self._wake = wake
        self._paused = paused
        self._patience_s = patience_s
        self._away_s = away_s
        self._loop = asyncio.get_running_loop()
        self._answer: int | None = None
        self._alive_at = self._loop.time()
        self._returned = False
        self._looking: asyncio.Task[None] | None = None

    def permits(self, due_ms: int, waiting: int | None) -> bool:
        """Return whether a timer that is due may fire. Otherwise find out, and wake the lane."""
        self.observe()
        if self.away:
            return False
        if self.watermark.until(self._clock(), waiting) >= due_ms:
            return True
        self._start()
        return False

    def wait(self, due_ms: int, waiting: int | None) -> float:
        """Return the seconds until a timer may fire, 0 now, or until the lane should ask again. With a slack, look already before it is due."""
        left = due_ms - self._clock()
        if left <= 0:
            return 0.0 if self.permits(due_ms, waiting) else _NOT_YET
        if self.watermark.slack_ms < _EARLY_MS:
            return left / 1000
        if left > _EARLY_MS:
            return (left - _EARLY_MS) / 1000
        if not self.away and self.watermark.until(due_ms, waiting) < due_ms:
            self._start()
        return left / 1000

    def followed(self, now_ms: int, waiting: int | None) -> Followed:
        """Return the `Followed` of the processor before a batch at `now_ms`."""
        self.observe()
        until = self.watermark.reached_ms if self.away else self.watermark.until(now_ms, waiting)
        returned, self._returned = self._returned, False
        return Followed(min(now_ms, until), returned)

    @property
    def away(self) -> bool:
        """Whether the broker has not answered for too long."""
        return self._loop.time() - self._alive_at > self._away_s

    def observe(self) -> None:
        """Look whether the broker has answered. Call this at least once a second."""
        answer = self._feed.answered_at(self._partition)
        if self._paused():
            self._alive_at = self._loop.time()
        if answer != self._answer:
            self._returned |= self.away
            self._answer, self._alive_at = answer, self._loop.time()

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def _start(self) -> None:
        if self._looking is None or self._looking.done():
            if self._looking is not None and not self._looking.cancelled():
                self._looking.result()  # a bug in it ends the lane
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Ask for the end until it is known, wait until everything before it was offered, and wake the lane."""
        wait = _AGAIN_LEAST
        while True:
            self.watermark.ask(self._clock())
            try:
                async with asyncio.timeout(_ANSWER):
                    end = await self._end()
                break
            except (BrokerError, OSError, TimeoutError) as error:
                log.info("end of the input's partition %d not known: %r", self._partition, error)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _AGAIN_MOST)
        if await self._until_offered(end):
            self.watermark.offered(end)
            self._wake()

    async def _until_offered(self, end: int) -> bool:
        before: int | None = -1
        moved_at = self._loop.time()
        while True:
            reached = await self._feed.read_to(self._partition)
            if reached is None:
                return False
            if reached >= end:
                return True
            if reached != before or self.away or self._paused():
                before, moved_at = reached, self._loop.time()
            elif self._loop.time() - moved_at > self._patience_s:
                log.warning(
                    "partition %d: position %d of %d for %.0f s: a transaction stays open, and timers no longer wait for it",
                    self._partition,
                    reached,
                    end,
                    self._patience_s,
                )
                return True
            await asyncio.sleep(_LOOK)
            self.observe()
