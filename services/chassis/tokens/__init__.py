"""JWTs: the caller, the caller's tenant, and the caller's rights.

        settings   which issuers are trusted, by which keys, for which tenants        claims, keys, roles, revocations   pure
        sources, remote, fetching   where keys come from                              verifier    from a token to a `Caller`
        minting, outgoing   tokens for our own calls                                  caller, refusals   the results

Claims of our own tokens: `sub` (subject), `tenant`, `scope` (space-separated, RFC 8693), `agent` (an agent's id, when an
agent calls), `iss`, `aud`, `iat`, `exp`, `jti`; those of other issuers are mapped (`ClaimSettings`). A token is
never logged.
"""

from services.chassis.tokens.caller import Caller
from services.chassis.tokens.keys import MIN_SECRET_BYTES
from services.chassis.tokens.minting import TokenSource, make_key_pair, mint, seconds_left
from services.chassis.tokens.roles import SCOPES, SCOPES_OF, Role
from services.chassis.tokens.settings import (
    AUDIENCE,
    ISSUER,
    ClaimSettings,
    IssuerSettings,
    JwtSettings,
    ServiceTokenSettings,
)
from services.chassis.tokens.sources import read_secret
from services.chassis.tokens.verifier import MAX_TOKEN_CHARS, Verifier, verify

__all__ = [
    "AUDIENCE",
    "ISSUER",
    "MAX_TOKEN_CHARS",
    "MIN_SECRET_BYTES",
    "SCOPES",
    "SCOPES_OF",
    "Caller",
    "ClaimSettings",
    "IssuerSettings",
    "JwtSettings",
    "Role",
    "ServiceTokenSettings",
    "TokenSource",
    "Verifier",
    "make_key_pair",
    "mint",
    "read_secret",
    "seconds_left",
    "verify",
]
