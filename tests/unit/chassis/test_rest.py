"""A reader rests between fetches, unless someone waits."""

import asyncio

from services.chassis.kafka.rest import Rest

LONG_S = 1000.0


async def test_a_rest_ends_by_itself() -> None:
    """After its time."""
    async with asyncio.timeout(10):
        await Rest(0.01).take()


async def test_who_waits_ends_the_rest() -> None:
    """The present one, or the next one if the reader is just reading; the one after that is whole again."""
    rest = Rest(LONG_S)
    resting = asyncio.create_task(rest.take())
    await asyncio.sleep(0)
    rest.end()
    async with asyncio.timeout(10):
        await resting
        rest.end()
        await rest.take()
    again = asyncio.create_task(rest.take())
    await asyncio.sleep(0.01)
    assert not again.done()
    again.cancel()
