"""A coroutine in a thread with a loop of its own."""

import asyncio
import threading

import pytest

from services.ingest.adapters.history.own_loop import KeysElsewhere, OwnLoop
from tests.fakes.privacy import MemoryKeys


async def test_it_runs_in_another_thread_and_calls_back_in_order() -> None:
    """Calls and awaited results run in the first loop; a question runs in the thread's loop."""
    here = threading.get_ident()
    seen: list[object] = []
    own, asked = OwnLoop(), asyncio.Event()

    async def double(number: int) -> int:
        assert threading.get_ident() == here
        return 2 * number

    async def where() -> int:
        return threading.get_ident()

    async def work() -> None:
        seen.append(threading.get_ident() != here)
        for number in range(3):
            own.call(lambda number=number: seen.append(number))  # type: ignore[misc] # bound on purpose
        seen.append(await own.awaited(double(21)))
        own.call(asked.set)
        await asyncio.Event().wait()

    running = asyncio.create_task(own.run(work, "test"))
    await asked.wait()
    assert await own.ask(where()) != here
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen == [True, 0, 1, 2, 42]
    assert "test" not in {thread.name for thread in threading.enumerate()}


async def test_its_failure_is_raised_and_its_end_returned() -> None:
    async def fail() -> None:
        raise ValueError("a bug")

    async def end() -> None:
        return None

    with pytest.raises(ValueError, match="a bug"):
        await OwnLoop().run(fail, "test")
    await OwnLoop().run(end, "test")


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_at_any_time_ends_the_thread(turns: int) -> None:
    """Also before the thread has begun."""
    own = OwnLoop()

    async def work() -> None:
        await asyncio.Event().wait()

    running = asyncio.create_task(own.run(work, "test"))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_question_without_a_thread_is_refused() -> None:
    async def nothing() -> None:
        return None

    with pytest.raises(RuntimeError):
        await OwnLoop().ask(nothing())


async def test_keys_are_found_in_the_first_loop_and_used_in_the_thread() -> None:
    """A reader opens the values that it has made ready."""
    keys, own = MemoryKeys(), OwnLoop()
    key = keys.made("acme", "person")
    elsewhere = KeysElsewhere(keys, own)

    async def work() -> None:
        assert elsewhere.find(key.key_id) is None
        await elsewhere.ready([None, b"not sealed"])
        assert elsewhere.current("acme", "person") is None

    await own.run(work, "test")
