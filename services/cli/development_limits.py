"""Limits of ingest for one machine: all customers of `chapar demo` and `chapar loadgen` share one address and one tenant.

The services' own defaults are for customers far away and tenants that share an installation; with them a load that this machine carries
well is refused. Limits that are about one customer, and those of memory and time, stay as they are.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_GROUPS: Final[tuple[Mapping[str, str], ...]] = (
    {"CHAPAR_INGEST_TENANT_RATE": "1000", "CHAPAR_INGEST_TENANT_BURST": "5000"},
    {"CHAPAR_INGEST_WEBCHAT_NEWCOMER_RATE": "100", "CHAPAR_INGEST_WEBCHAT_NEWCOMER_BURST": "1000"},
    {"CHAPAR_INGEST_WEBCHAT_SOCKETS_PER_ADDRESS": "1000"},
    {"CHAPAR_INGEST_HTTP_PER_PEER": "2000"},
    {"CHAPAR_INGEST_SMTP_PER_PEER": "200"},
)
"""A rate and its burst belong together: with one of them given, the other would hide it."""
DEVELOPMENT_LIMITS: Final[Mapping[str, str]] = MappingProxyType(
    {name: value for group in _GROUPS for name, value in group.items()}
)


def beside(given: Mapping[str, str]) -> dict[str, str]:
    """The limits of development, but for those that an environment sets already."""
    names = {name.upper() for name in given}
    return {name: value for group in _GROUPS if not names & group.keys() for name, value in group.items()}
