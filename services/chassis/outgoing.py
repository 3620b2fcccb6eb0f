"""Calls to what tenants configure: each call has one deadline, and each tenant a bound of calls under way.

The time-outs of an HTTP client are for each read: an endpoint that sends one byte before each of them lasts for days. Here
the whole call ends at its deadline, however busy it looks. And the connections are shared by all tenants: one tenant, and
one of its hosts, gets a part of them only, so endpoints that hang stop their own tenant's calls alone.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

import httpx


@dataclass(frozen=True, slots=True)
class CallLimits:
    """`call_s`: for a whole call, from the moment at which it has a place. `place_s`: how long it may wait for a place.

    `of_tenant`, `of_host`: calls of one tenant at once, and of one tenant to one host.
    """

    call_s: float
    place_s: float
    of_tenant: int
    of_host: int


@dataclass(slots=True)
class _Shared:
    """Places of one tenant, or of one of its hosts; kept while a call uses them or waits for them."""

    free: asyncio.Semaphore
    users: int = 0


class Outgoing:
    """An HTTP client for all tenants. It owns the client that it is given."""

    def __init__(self, http: httpx.AsyncClient, limits: CallLimits) -> None:
        self._http = http
        self._limits = limits
        self._shared: dict[tuple[str, ...], _Shared] = {}

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.__aexit__()

    @asynccontextmanager
    async def post(
        self, tenant: str, url: str, content: bytes, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """The answer, its body unread; the block belongs to the call. As httpx; PoolTimeout without a place, TimeoutError at the deadline."""
        async with AsyncExitStack() as places:
            try:
                async with asyncio.timeout(self._limits.place_s):
                    # The host's first: what waits for a host that hangs holds no place of the tenant's other hosts.
                    host = httpx.URL(url).host
                    await places.enter_async_context(self._place((tenant, host), self._limits.of_host))
                    await places.enter_async_context(self._place((tenant,), self._limits.of_tenant))
            except TimeoutError as error:
                raise httpx.PoolTimeout("this tenant has too many calls under way") from error
            async with asyncio.timeout(self._limits.call_s):
                async with self._http.stream("POST", url, content=content, headers=headers) as response:
                    yield response

    @property
    def known(self) -> int:
        """Tenants and hosts in memory."""
        return len(self._shared)

    @asynccontextmanager
    async def _place(self, key: tuple[str, ...], most: int) -> AsyncIterator[None]:
        shared = self._shared.setdefault(key, _Shared(asyncio.Semaphore(most)))
        shared.users += 1
        try:
            async with shared.free:
                yield
        finally:
            shared.users -= 1
            if not shared.users:
                del self._shared[key]
