"""Ingest limits for one machine: all customers of `chapar demo` and `chapar loadgen` share one address and one tenant.

The services' own defaults are for remote customers and for tenants that share an installation; with them ingest would refuse a load that
this machine can carry. Limits per customer, and limits of memory and time, keep their defaults.
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
"""A rate and its burst belong together: if an environment sets one of them, the development value of the other would hide it."""
DEVELOPMENT_LIMITS: Final[Mapping[str, str]] = MappingProxyType(
    {name: value for group in _GROUPS for name, value in group.items()}
)


def beside(given: Mapping[str, str]) -> dict[str, str]:
    """Return the development limits, without the groups of which the environment already sets a variable."""
    names = {name.upper() for name in given}
    return {name: value for group in _GROUPS if not names & group.keys() for name, value in group.items()}
