"""A time limit whose timer is made only if the block waits."""

import asyncio
from typing import Any

import pytest

from services.chassis.http import LateTimeout


async def test_a_block_that_does_not_wait_makes_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body that has arrived with its head costs no timer, neither in the block nor afterwards."""
    loop = asyncio.get_running_loop()
    made: list[float] = []
    call_at = loop.call_at

    def noted(when: float, *rest: Any, **named: Any) -> asyncio.TimerHandle:
        made.append(when)
        return call_at(when, *rest, **named)

    monkeypatch.setattr(loop, "call_at", noted)
    with LateTimeout(0.01):
        pass
    await asyncio.sleep(0)
    assert made == []


async def test_a_block_that_waits_is_limited() -> None:
    """It raises TimeoutError, and not before its time."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def limited() -> int:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(TimeoutError), LateTimeout(0.05):
            await loop.create_future()
        return task.cancelling()

    assert await asyncio.wait_for(limited(), 10) == 0  # later cancellations of the task are real ones
    assert 0.05 <= loop.time() - began < 10


async def test_a_block_that_ends_in_time_is_not_disturbed() -> None:
    """It may wait; its timer ends with it."""
    task = asyncio.current_task()
    assert task is not None
    with LateTimeout(0.02):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    assert task.cancelling() == 0


async def test_a_cancellation_from_outside_remains_one() -> None:
    """Only the time limit becomes a TimeoutError."""

    async def limited() -> None:
        with LateTimeout(10):
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(limited())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
