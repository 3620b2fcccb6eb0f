"""Finds the client of a call: the peer of the socket or, behind trusted proxies, the client that they name in X-Forwarded-For.

Each proxy appends the address that it saw, so the list is read from the right: addresses of trusted proxies are skipped, and the first other
address is the client. The client wrote all entries further left. If an entry is not an address, reading ends at the last trusted proxy:
no text that a client writes can make it look like another client.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MOST_HOPS: Final = 32
_MOST_CHARS: Final = 4096
_CACHED: Final = 4096


def networks_of(text: str) -> tuple[Network, ...]:
    """Parse addresses and CIDRs, separated by commas or spaces. Raises ValueError with a text for people."""
    found: list[Network] = []
    for item in text.replace(",", " ").split():
        try:
            found.append(ipaddress.ip_network(item))
        except ValueError as error:
            raise ValueError(f"{item!r} is neither an address nor a network in CIDR notation ({error})") from None
    return tuple(found)


def address_in(text: str) -> Address | None:
    """Parse an address of X-Forwarded-For: bare, with a port, or in brackets; an IPv4 address mapped into IPv6 becomes the IPv4 address."""
    item = text.strip()
    if item.startswith("["):
        item = item[1:].partition("]")[0]
    elif item.count(":") == 1:
        item = item.partition(":")[0]
    try:
        address = ipaddress.ip_address(item.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(_CACHED)  # parsing takes as long as the rest of a small call's checks, and callers come again
def peer_key(host: str) -> str:
    """Return the key of a peer's share: an IPv4 address, or the /64 of an IPv6 one, because one customer has all of it. Never empty."""
    address = address_in(host)
    if address is None:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


class TrustedProxies:
    """The networks whose X-Forwarded-For is trusted; none by default."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, host: str) -> bool:
        if not self._networks:
            return False
        known = self._known.get(host)
        if known is None:
            address = address_in(host)
            known = address is not None and self._holds(address)
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[host[:64]] = known
        return known

    def client(self, peer: str, forwarded: Iterable[str]) -> str:
        """Return the client's address. `forwarded`: the X-Forwarded-For fields of a request, in their order."""
        if peer not in self:
            return peer
        believed = peer
        for item in reversed(",".join(forwarded)[-_MOST_CHARS:].split(",")[-_MOST_HOPS:]):
            address = address_in(item)
            if address is None:
                break
            believed = str(address)
            if not self._holds(address):
                break
        return believed

    def _holds(self, address: Address) -> bool:
        return any(address in network for network in self._networks)
