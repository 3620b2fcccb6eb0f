"""Closing a client never fails its owner, takes a bounded time, and runs every step."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.kafka.closing import Step, close_all


async def well() -> None:
    """Closes."""


async def raises_key_error() -> None:
    raise KeyError("MessageBatch")


async def raises_cancelled() -> None:
    raise asyncio.CancelledError


async def hangs() -> None:
    await asyncio.Event().wait()


async def ignores_cancellation() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()  # until the event loop ends


CLOSERS: dict[str, Callable[[], Awaitable[None]]] = {
    each.__name__: each for each in (well, raises_key_error, raises_cancelled, hangs, ignores_cancellation)
}
FAILING = {"raises_key_error", "hangs", "ignores_cancellation"}


def noting(name: str, called: list[str]) -> Step:
    async def close() -> None:
        called.append(name)
        await CLOSERS[name]()

    return name, close


@settings(max_examples=25)
@given(st.lists(st.sampled_from(sorted(CLOSERS)), max_size=4))
def test_every_step_has_its_turn_and_failures_are_counted(names: list[str]) -> None:
    """This holds if a step raises, hangs, is cancelled, or ignores its cancellation."""
    called: list[str] = []

    async def scenario() -> int:
        async with asyncio.timeout(5):
            return await close_all([noting(name, called) for name in names], 0.001)

    assert asyncio.run(scenario()) == sum(name in FAILING for name in names)
    assert called == names


async def test_the_cancellation_of_the_owner_comes_after_the_last_step() -> None:
    """A stop in the middle of a recovery closes everything, and then the cancellation continues."""
    called: list[str] = []
    closing = asyncio.create_task(close_all([noting("hangs", called), noting("well", called)], 0.05))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert called == ["hangs", "well"]


@pytest.mark.parametrize("error", [KeyError("x"), AssertionError(), ValueError(), OSError(), RecursionError()])
async def test_a_failure_is_logged(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def close() -> None:
        raise error

    with caplog.at_level(logging.WARNING):
        assert await close_all([("producer", close)], 1) == 1
    assert "closing a producer" in caplog.text
