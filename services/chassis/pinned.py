"""Connections to URLs that tenants configure: a name is resolved once, every address is checked, and a checked address is used.

The check and the connection use the same response of the resolver, so a name whose address changes in between gains nothing. Name and
certificate stay the configured ones: TLS and the request contain the host, and connections are reused by host. Redirects are not followed.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import httpcore
import httpx

from services.chassis.destinations import Destinations, problem_of_address, problem_of_host, problem_of_url

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, in the order in which to try them. Raises OSError for none."""

_MOST_ADDRESSES: Final = 16
CONNECT_S: Final = 5.0
POOL_S: Final = 5.0
"""How long a request waits for a connection when all are in use."""


class Refused(Exception):  # noqa: N818 - reads as what happened
    """This destination is not allowed. The text is for people and contains only host and address."""


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Resolve with the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for *_, where in found]


async def checked_addresses(host: str, port: int, rules: Destinations, resolve: Resolve) -> list[str]:
    """Return the addresses to connect to. Raises Refused if the host or any of its addresses is not allowed; OSError when there is none."""
    problem = problem_of_host(host, rules)
    if problem:
        raise Refused(problem)
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    found = list(dict.fromkeys(await resolve(host, port)))[:_MOST_ADDRESSES]
    if not found:
        raise OSError(f"{host} has no address")
    if not rules.named(host.lower()):
        for text in found:
            try:
                address = ipaddress.ip_address(text)
            except ValueError:
                raise Refused(f"`{host}` resolves to a value that is not an address") from None
            problem = problem_of_address(address, rules)
            if problem:
                raise Refused(f"`{host}` resolves to an address that is not allowed: {problem}")
    return found


async def connected_socket(host: str, port: int, rules: Destinations, resolve: Resolve) -> socket.socket:
    """Return a connected socket, for clients that take one. Raises Refused, OSError."""
    loop = asyncio.get_running_loop()
    last: OSError | None = None
    for text in await checked_addresses(host, port, rules, resolve):
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)
        try:
            await loop.sock_connect(made, (text, port))
        except OSError as error:
            made.close()
            last = error
        except BaseException:
            made.close()
            raise
        else:
            return made
    assert last is not None
    raise last


class _Backend(httpcore.AsyncNetworkBackend):
    """httpcore's network access, with the check."""

    def __init__(self, rules: Destinations, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first checked address that answers; the time limit covers all attempts."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await checked_addresses(host, port, self._rules, self._resolve)
                for text in addresses[:-1]:
                    try:
                        return await self._plain.connect_tcp(text, port, timeout, local_address, socket_options)
                    except (httpcore.ConnectError, httpcore.ConnectTimeout):
                        continue
                return await self._plain.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError from error

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no URL names a Unix socket."""
        raise Refused("sockets of this machine are not allowed")

    async def sleep(self, seconds: float) -> None:
        """Sleep, for httpcore's retries."""
        await asyncio.sleep(seconds)


class PinnedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport with the checked network access; a request that is not allowed raises `Refused`."""

    def __init__(
        self, rules: Destinations, resolve: Resolve, *, tls: ssl.SSLContext | None, connections: int, keepalive_s: float
    ) -> None:
        context = tls if tls is not None else httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        self._rules = rules
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=keepalive_s,
            network_backend=_Backend(rules, resolve),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raise Refused before anything is resolved when the URL itself is not allowed."""
        problem = problem_of_url(str(request.url), self._rules)
        if problem:
            raise Refused(problem)
        return await super().handle_async_request(request)


def pinned_client(
    rules: Destinations,
    *,
    timeout_s: float,
    connections: int,
    tls: ssl.SSLContext | None = None,
    resolve: Resolve = system_resolve,
) -> httpx.AsyncClient:
    """Return a client for URLs of tenants; the caller closes it. `timeout_s`: for each read or write; `tls`: instead of the system's.

    It has no deadline for a whole call and does not know tenants: `outgoing.Outgoing` does.
    """
    return httpx.AsyncClient(
        transport=PinnedTransport(rules, resolve, tls=tls, connections=connections, keepalive_s=2.0),
        timeout=httpx.Timeout(timeout_s, connect=CONNECT_S, pool=POOL_S),
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": "chapar"},
    )
