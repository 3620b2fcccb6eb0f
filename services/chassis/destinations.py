"""Where this installation may send requests that tenants configure: public addresses by https, and exceptions that the operator allows.

A tenant writes the URL of a provider, of a webhook, of a mail relay. Without a rule, such a URL is a way into the operator's network: to the
metadata service of a cloud, to a database, to Chapar's own ports. So the form of the host is checked where it is written (`problem_of_url`,
lint), and each resolved address where it is used (`problem_of_address`, `services.chassis.pinned`). Pure: this module resolves no names.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f\\]")
_MAX_URL: Final = 2048
_OURS: Final = (
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "private",
    "localdomain",
    "arpa",
    "onion",
)
"""Last labels that no public name has."""

_REFUSED_V4: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # a cloud's agent at an address that looks public
    )
)  # fmt: skip
_PUBLIC_V6: Final = ipaddress.ip_network("2000::/3")
_REFUSED_V6: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "2001::/23",  # Teredo, benchmarks, ORCHID and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside, and relays that are long gone
        "3ffe::/16", "3fff::/20", "5f00::/16",
    )
)  # fmt: skip
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Destinations:
    """Destinations that are allowed besides public addresses by https.

    `hosts`: names, lower case; `loopback`: this machine by any scheme, in development.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    loopback: bool = False

    def named(self, host: str) -> bool:
        """Return whether the operator allows this host by name, whatever address it has."""
        return host in self.hosts or (self.loopback and host == "localhost")

    def reachable(self, address: Address) -> bool:
        """Return whether the operator allows this address."""
        address = _unmapped(address)
        return (self.loopback and address.is_loopback) or any(address in network for network in self.networks)


PUBLIC: Final = Destinations()
DEVELOPMENT: Final = Destinations(loopback=True)


def destinations(allowed: Iterable[str], *, development: bool) -> Destinations:
    """Return the rules of the operator's setting: host names, addresses, networks in CIDR notation. Raises ValueError with a text for people."""
    hosts: set[str] = set()
    networks: list[Network] = []
    for item in allowed:
        text = item.strip().lower()
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            if "/" in text or not _is_name(text):
                raise ValueError(
                    f"{item!r} is neither a host name nor an address nor a network in CIDR notation"
                ) from None
            hosts.add(text)
    return Destinations(frozenset(hosts), tuple(networks), development)


def problem_of_url(
    url: str, rules: Destinations, schemes: tuple[str, ...] = ("https",), plain: tuple[str, ...] = ("http",)
) -> str:
    """Return the problem of a URL and what to do about it; empty for none. `plain`: schemes without TLS, to allowed hosts only."""
    if len(url) > _MAX_URL or _FORBIDDEN.search(url) or not url.isascii():
        return "its url contains spaces, control characters, backslashes or letters beyond ASCII, or is too long"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "its url cannot be read"
    if parts.scheme not in (*schemes, *plain) or not host:
        return f"its url must be {schemes[0]}://…"
    if "@" in parts.netloc:
        return "a password in its url would be shown to everyone who reads the configuration: credentials belong in secrets"
    if port == 0 or "#" in url:
        return "its url cannot have a fragment, or port 0"
    if parts.scheme in plain and not _allowed_by_name(host, rules):
        return f"its url must begin with {schemes[0]}: only hosts that the operator allows may be reached without TLS"
    if "[" in parts.netloc and ":" not in host:
        return "its url cannot be read"
    return problem_of_host(host, rules)


def problem_of_host(host: str, rules: Destinations) -> str:
    """Return the problem of a host alone, such as a mail relay."""
    host = host.lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return problem_of_address(address, rules)
    if not _is_name(host):
        return f"`{host[:80]}` is not a host name: numbers in other notations, trailing dots and unusual letters are refused"
    if rules.named(host):
        return ""
    if "." not in host or host.rpartition(".")[2] in _OURS:
        return f"`{host}` is not a public name: the operator must allow it (OUTGOING_ALLOW)"
    return ""


def problem_of_address(address: Address, rules: Destinations) -> str:
    """Return the problem of connecting to an address; empty for none."""
    if rules.reachable(address) or _public(address):
        return ""
    return f"`{address}` is not a public address: the operator must allow it (OUTGOING_ALLOW)"


def _public(address: Address) -> bool:
    address = _unmapped(address)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    if getattr(address, "scope_id", None):
        return False
    if address in _NAT64:
        # An address as a resolver makes it in an IPv6-only network: the IPv4 address inside is checked.
        return _public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _PUBLIC_V6 and not any(address in network for network in _REFUSED_V6)


def _unmapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _allowed_by_name(host: str, rules: Destinations) -> bool:
    if rules.named(host.lower()):
        return True
    try:
        return rules.reachable(ipaddress.ip_address(host))
    except ValueError:
        return False


def _is_name(host: str) -> bool:
    """Return whether this is a host name that no resolver reads as a number."""
    labels = host.split(".")
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) and not _NUMBER.fullmatch(labels[-1])
