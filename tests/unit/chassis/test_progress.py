"""How a lane finds its watermark: questions to the broker, outages, and transactions that stay open."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from services.chassis.clock import ManualClock
from services.chassis.kafka.progress import Progress

PATIENCE_S, AWAY_S = 0.1, 0.3


class Log:
    """Implements `Feed`, and is the broker: its end, what was offered to the lane, and whether it answers."""

    def __init__(self) -> None:
        self.end = self.offered = 0
        self.up = True
        self.questions = 0
        self.woken = asyncio.Event()
        self._answers = 0

    async def read_to(self, _partition: int) -> int | None:
        return self.offered

    def answered_at(self, _partition: int) -> int | None:
        self._answers += self.up
        return self._answers

    async def ask(self) -> int:
        self.questions += 1
        if not self.up:
            raise OSError("away")
        return self.end


class Stand:
    def __init__(self) -> None:
        self.log = Log()
        self.clock = ManualClock()
        self.paused = False
        self.progress = Progress(
            self.log,
            0,
            end=self.log.ask,
            clock=self.clock,
            wake=self.log.woken.set,
            paused=lambda: self.paused,
            patience_s=PATIENCE_S,
            away_s=AWAY_S,
        )

    def permits(self, due_ms: int, waiting: int | None = None) -> bool:
        return self.progress.permits(due_ms, waiting)

    async def permitted(self, due_ms: int, within_s: float = 2.0) -> bool:
        """Return whether a timer may fire in time, asking as the lane does."""
        return await self.eventually(lambda: self.permits(due_ms), within_s)

    async def eventually(self, condition: Callable[[], bool], within_s: float = 2.0) -> bool:
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    self.log.woken.clear()
                    try:
                        async with asyncio.timeout(0.01):
                            await self.log.woken.wait()
                    except TimeoutError:
                        continue
        except TimeoutError:
            return False
        return True


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    made = Stand()
    yield made
    await made.progress.close()


async def test_a_timer_waits_for_one_question(stand: Stand) -> None:
    """A timer that is due fires after the log's end was asked for; a later one asks again, an earlier one does not."""
    due = stand.clock()
    assert not stand.permits(due)
    assert await stand.permitted(due)
    assert stand.permits(due - 1)
    assert stand.log.questions == 1
    assert not stand.permits(stand.clock.advance(1))


async def test_a_timer_waits_for_what_is_in_the_log(stand: Stand) -> None:
    """Records before the end that were not offered, or offered and not handled, hold it back, also when it is asked about often."""
    due = stand.clock()
    stand.log.end = 3
    assert not await stand.permitted(due, 0.05)
    stand.log.offered = 3
    assert await stand.eventually(lambda: stand.permits(due, waiting=None))
    stand.log.end = stand.log.offered = 5
    due = stand.clock.advance(10)
    assert not stand.permits(due, waiting=4)
    await asyncio.wait_for(stand.log.woken.wait(), 2)
    assert not stand.permits(due, waiting=4), "record 4 waits"
    assert stand.permits(due, waiting=None)


async def test_no_timer_fires_while_the_broker_is_away(stand: Stand) -> None:
    """When it is back, the processor learns it, once, with the watermark of the first answer."""
    stand.log.up = False
    due = stand.clock()
    stand.permits(due)
    assert await stand.eventually(lambda: not stand.permits(due) and stand.progress.away)
    assert not await stand.permitted(due, 0.1)
    stand.clock.advance(20_000)
    stand.log.up = True
    assert await stand.permitted(due)
    followed = stand.progress.followed(stand.clock(), None)
    assert followed.returned
    assert due <= followed.until_ms <= stand.clock()
    assert not stand.progress.followed(stand.clock(), None).returned


async def test_an_outage_is_noticed_although_no_timer_was_due(stand: Stand) -> None:
    stand.log.up = False
    assert await stand.eventually(lambda: stand.progress.away)
    stand.log.up = True
    stand.progress.observe()
    assert stand.progress.followed(stand.clock(), None).returned


async def test_a_paused_partition_is_not_an_outage(stand: Stand) -> None:
    """Nothing is fetched for it, so nothing is answered."""
    stand.paused, stand.log.up = True, False

    def away() -> bool:
        stand.progress.observe()
        return stand.progress.away

    assert not await stand.eventually(away, 2 * AWAY_S)


async def test_a_transaction_that_stays_open_holds_timers_back_for_a_while(stand: Stand) -> None:
    """The position does not move although the broker answers: after the patience, the timers go on."""
    stand.log.end, stand.log.offered = 9, 8
    due = stand.clock()
    began = asyncio.get_running_loop().time()
    assert await stand.permitted(due)
    assert asyncio.get_running_loop().time() - began >= PATIENCE_S


async def test_an_outage_does_not_count_as_patience(stand: Stand) -> None:
    """While the broker is away the position does not move either: that says nothing about the log."""
    stand.log.end = 1
    due = stand.clock()
    stand.permits(due)
    await asyncio.sleep(0)
    stand.log.up = False
    assert await stand.eventually(lambda: not stand.permits(due) and stand.progress.away)
    assert not await stand.permitted(due, 3 * PATIENCE_S)


async def test_with_a_slack_the_question_comes_before_the_timer(stand: Stand) -> None:
    """The lane is woken shortly before, and the timer fires at its time, without waiting for an answer."""
    due = stand.clock() + 1_000
    assert stand.progress.wait(due, None) == 1.0, "without a slack it is asked when the timer is due"
    stand.progress.watermark.slack_ms = 250
    early = stand.progress.wait(due, None)
    assert 0.9 < early < 1.0
    assert stand.log.questions == 0
    stand.clock.advance(round(early * 1000))
    assert 0 < stand.progress.wait(due, None) < 0.1
    await asyncio.wait_for(stand.log.woken.wait(), 2)
    assert stand.log.questions == 1
    stand.clock.advance(due - stand.clock())
    assert stand.progress.wait(due, None) == 0
    assert stand.log.questions == 1
