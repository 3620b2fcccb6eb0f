"""Bounds the number of concurrent operations; waiting tenants take turns."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from services.ingest.domain.fair_queue import FairQueue

_NO_WEIGHTS: Mapping[str, float] = MappingProxyType({})


class TooManyWaiting(Exception):  # noqa: N818 - the name reads as what happened
    """The tenant already has its maximum of waiting operations."""


class Turns:
    """Places, given in turn to the tenants that wait."""

    def __init__(self, places: int, most_waiting: int, weights: Mapping[str, float] = _NO_WEIGHTS) -> None:
        """`most_waiting`: the maximum for one tenant."""
        self._free = places
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue(most_waiting, weights)

    @asynccontextmanager
    async def turn(self, tenant: str, cost: float = 1.0) -> AsyncIterator[None]:
        """Hold a place during the block. Raises TooManyWaiting."""
        await self._enter(tenant, cost)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, tenant: str, cost: float) -> None:
        if self._free > 0 and not len(self._queue):
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._queue.push(tenant, cost, mine):
            raise TooManyWaiting(tenant)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._leave()  # the place was given to a caller that has been cancelled meanwhile
            raise

    def _leave(self) -> None:
        self._free += 1
        while self._free > 0 and (following := self._queue.pop()) is not None:
            if not following.done():
                self._free -= 1
                following.set_result(None)
