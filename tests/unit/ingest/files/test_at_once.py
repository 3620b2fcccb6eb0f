"""Several operations at the same time: bounded, in order, and none left running."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.adapters.files.at_once import each_at_once


@given(waits=st.lists(st.integers(0, 5), max_size=30), most=st.integers(1, 6))
async def test_results_keep_the_order_of_the_items(waits: list[int], most: int) -> None:
    """Whichever ends first; and no more than the bound run at the same time."""
    running = highest = 0

    async def operation(numbered: tuple[int, int]) -> int:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        for _ in range(numbered[1]):
            await asyncio.sleep(0)
        running -= 1
        return numbered[0]

    assert await each_at_once(operation, enumerate(waits), most) == list(range(len(waits)))
    assert highest <= min(most, len(waits))


async def test_an_error_is_raised_when_all_that_had_begun_have_ended() -> None:
    """The others are not cancelled halfway, and no further one begins: the sender tries again with all."""
    begun, ended = list[int](), list[int]()
    may_end = asyncio.Event()

    async def operation(number: int) -> None:
        begun.append(number)
        if number == 2:
            asyncio.get_running_loop().call_soon(may_end.set)
            raise LookupError("away")
        await may_end.wait()
        ended.append(number)

    with pytest.raises(LookupError):
        await each_at_once(operation, range(10), 3)
    assert (begun, ended) == ([0, 1, 2], [0, 1])


async def test_a_cancelled_caller_leaves_nothing_running() -> None:
    """Each operation is cancelled, and has ended when the caller ends."""
    begun, cancelled = list[int](), list[int]()
    all_begun = asyncio.Event()

    async def operation(number: int) -> None:
        begun.append(number)
        if len(begun) == 3:
            all_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cancelled.append(number)

    caller = asyncio.create_task(each_at_once(operation, range(10), 3))
    await all_begun.wait()
    caller.cancel()
    await asyncio.wait({caller})
    assert caller.cancelled()
    assert (begun, sorted(cancelled)) == ([0, 1, 2], [0, 1, 2])
