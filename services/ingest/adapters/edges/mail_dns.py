"""TXT records for verifying mail, by dnspython's resolver in the event loop. Time, size and number of records are bounded."""

from typing import Final, Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

MAX_TXT_BYTES: Final = 4096
_MOST_RECORDS: Final = 16


class DnsAway(Exception):  # noqa: N818 - a state, not an error: the mail is accepted, unproven
    """No answer in time, or none that can be trusted."""


class TxtRecords(Protocol):
    """Looks up the public keys and policies of domains."""

    async def txt(self, name: str) -> tuple[bytes, ...]:
        """Return the TXT records of a name; empty when there are none. Raises DnsAway."""


class DnsTxtRecords:
    """Implements `TxtRecords`. `servers`: host:port, or address; empty for the system's servers."""

    def __init__(self, servers: tuple[str, ...], *, timeout_s: float = 2.0) -> None:
        self._timeout_s = timeout_s
        self._servers = servers
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def txt(self, name: str) -> tuple[bytes, ...]:
        """See `TxtRecords`."""
        try:
            answer = await self._ready().resolve(f"{name}.", "TXT", lifetime=self._timeout_s, raise_on_no_answer=False)
        except (dns.resolver.NXDOMAIN, dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
            return ()
        except (dns.exception.DNSException, OSError) as error:
            raise DnsAway(type(error).__name__) from error
        records = [b"".join(record.strings) for record in answer.rrset or ()]
        return tuple(record for record in records[:_MOST_RECORDS] if len(record) <= MAX_TXT_BYTES)

    def _ready(self) -> dns.asyncresolver.Resolver:
        # Created at first use: a machine without a resolver configuration may run as long as no account needs it.
        if self._resolver is None:
            resolver = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                places = [each.rpartition(":") if ":" in each else (each, ":", "53") for each in self._servers]
                resolver.nameservers = [host for host, _, _ in places]
                resolver.nameserver_ports = {host: int(port) for host, _, port in places}
            self._resolver = resolver
        return self._resolver
