"""Bounds the number of concurrent operations; waiting tenants take turns."""

import asyncio
from collections.abc import Mapping
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

    def turn(self, tenant: str, cost: float = 1.0) -> "Turn":
        """Return a context manager that holds a place during its block. Entering it raises TooManyWaiting."""
        return Turn(self, tenant, cost)

    async def enter(self, tenant: str, cost: float) -> None:
        """Wait for a place. Raises TooManyWaiting. The caller must call `leave`, if this does not raise."""
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
                self.leave()  # the place was given to a caller that has been cancelled meanwhile
            raise

    def leave(self) -> None:
        """Give the place to the tenant whose turn is next."""
        self._free += 1
        while self._free > 0 and (following := self._queue.pop()) is not None:
            if not following.done():
                self._free -= 1
                following.set_result(None)


class Turn:
    """A place during a block. Each message of an edge holds one, and a generator would cost three times as much."""

    __slots__ = ("_cost", "_tenant", "_turns")

    def __init__(self, turns: Turns, tenant: str, cost: float) -> None:
        self._turns = turns
        self._tenant = tenant
        self._cost = cost

    async def __aenter__(self) -> None:
        await self._turns.enter(self._tenant, self._cost)

    async def __aexit__(self, *_: object) -> None:
        self._turns.leave()
