"""A reader's rest between two fetches, so that records gather: each fetch costs the broker and the reader the same for one as for many."""

import asyncio
from contextlib import suppress


class Rest:
    """Ends early when someone waits for a record."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = asyncio.Event()

    def end(self) -> None:
        """End the present rest, or the next one if there is none now."""
        self._over.set()

    async def take(self) -> None:
        """Rest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._over.wait()
        self._over.clear()
