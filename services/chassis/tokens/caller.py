"""The caller that a verified token names."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller. The tenant comes from here, never from a request's body. Times are in seconds since the Unix epoch."""

    subject: str
    tenant: str
    scopes: frozenset[str]
    agent_id: str = ""
    issuer: str = ""
    token_id: str = ""
    issued_s: float = 0.0
    expires_s: float = math.inf
    """When the token expires, leeway included: a stream ends then at the latest."""
    names_tenant: frozenset[str] = frozenset()
    """Tenants for which a service may call that names the tenant per call ("*": any); empty for all other callers."""
