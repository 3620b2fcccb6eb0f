"""Calls to destinations that tenants configure: each call has one deadline, and each tenant a limit of calls in progress.

An HTTP client's time-outs apply to each read: an endpoint that sends one byte before each of them can last for days. Here
the whole call ends at its deadline, whatever arrives. All tenants share the connections: each tenant, and each of its
hosts, gets only a part of them, so endpoints that hang stop the calls of their own tenant alone.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

import httpx


@dataclass(frozen=True, slots=True)
class CallLimits:
    """`call_s`: for a whole call, from the moment at which it has a place. `place_s`: how long it may wait for a place.

    `of_tenant`, `of_host`: calls in progress of one tenant, and of one tenant to one host.
    """

    call_s: float
    place_s: float
    of_tenant: int
    of_host: int


@dataclass(slots=True)
class _Shared:
    """Places of one tenant, or of one of its hosts; it exists while a call uses a place or waits for one."""

    free: asyncio.Semaphore
    users: int = 0


class Outgoing:
    """An HTTP client for all tenants. It owns the given client."""

    def __init__(self, http: httpx.AsyncClient, limits: CallLimits) -> None:
        self._http = http
        self._limits = limits
        self._shared: dict[tuple[str, ...], _Shared] = {}

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.__aexit__()

    def post(
        self, tenant: str, url: str, content: bytes, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """Yield the response, its body unread; the block belongs to the call. Raises as httpx; PoolTimeout: no place, TimeoutError: the deadline."""
        return self._call("POST", tenant, url, content, headers)

    def get(self, tenant: str, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[httpx.Response]:
        """See `post`."""
        return self._call("GET", tenant, url, None, headers)

    @asynccontextmanager
    async def _call(
        self, method: str, tenant: str, url: str, content: bytes | None, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        async with AsyncExitStack() as places:
            try:
                async with asyncio.timeout(self._limits.place_s):
                    # First the place of the host: a call that waits for a host that hangs then takes no place from the tenant's other hosts.
                    host = httpx.URL(url).host
                    await places.enter_async_context(self._place((tenant, host), self._limits.of_host))
                    await places.enter_async_context(self._place((tenant,), self._limits.of_tenant))
            except TimeoutError as error:
                raise httpx.PoolTimeout("this tenant has too many calls in progress") from error
            async with asyncio.timeout(self._limits.call_s):
                async with self._http.stream(method, url, content=content, headers=headers) as response:
                    yield response

    @property
    def known(self) -> int:
        """Return the number of tenants and hosts in memory."""
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
