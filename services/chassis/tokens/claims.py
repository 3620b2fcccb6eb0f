"""From verified claims to a caller. Pure: no clock, no I/O.

The signature proves that the issuer wrote the claims, not that they make sense: times are finite numbers of this era, a token
lives no longer than its issuer allows, names are short printable text, and the tenant is one that this issuer may name.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.chassis.reasons import Reason
from services.chassis.tokens.caller import Caller
from services.chassis.tokens.refusals import EXPIRED, refused
from services.chassis.tokens.roles import scopes_of

ANY: Final = "*"
MAX_INSTANT_S: Final = 253_402_300_799  # the last second of the year 9999
MAX_NAME_CHARS: Final = 256
MAX_NAME_BYTES: Final = 400
"""Of a subject, tenant or agent in UTF-8: the longest id that history and the audit log keep."""
MAX_SCOPES: Final = 256
_MAX_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """The names of an issuer's claims, and the values that the issuer may use. `ANY` among `tenants` means every tenant."""

    subject: str = "sub"
    tenant: str = "tenant"
    agent: str = "agent"
    scopes: tuple[str, ...] = ("scope",)
    roles: tuple[str, ...] = ()
    scope_prefix: str = ""
    role_names: Mapping[str, str] | None = None
    """Maps the issuer's role names to ours; None: the names are the same."""
    fixed_tenant: str = ""
    tenants: frozenset[str] = frozenset({ANY})
    most_scopes: frozenset[str] | None = None
    """No token of this issuer gets further scopes; None: no limit."""
    services: frozenset[str] = frozenset()
    """Subjects that name the tenant per call."""
    max_lifetime_s: float = 86_400.0


def times(claims: Mapping[str, Any], now_s: float, leeway_s: float, max_lifetime_s: float) -> tuple[float, float]:
    """Return (issued, expires) in seconds. Raises TOKEN_MALFORMED, TOKEN_EXPIRED, TOKEN_LIFETIME or TOKEN_REFUSED."""
    issued, expires = _instant(claims, "iat"), _instant(claims, "exp")
    begins = _instant(claims, "nbf") if "nbf" in claims else issued
    if expires <= issued:
        raise refused(Reason.TOKEN_MALFORMED, "the token ends before it begins")
    if now_s >= expires + leeway_s:
        raise refused(Reason.TOKEN_EXPIRED, EXPIRED)
    for name, value in (("iat", issued), ("nbf", begins)):
        if now_s + leeway_s < value:
            raise refused(Reason.TOKEN_REFUSED, f"the token is not valid yet ({name}): check that the clocks agree")
    if expires - issued > max_lifetime_s:
        raise refused(Reason.TOKEN_LIFETIME, f"the token's lifetime exceeds the {max_lifetime_s:g} s that are accepted")
    return issued, expires


def caller_of(claims: Mapping[str, Any], rules: ClaimRules, issued_s: float, dies_s: float) -> Caller:
    """Return the caller that verified claims describe. Raises TOKEN_MALFORMED or TOKEN_TENANT."""
    subject = _name(claims, rules.subject, "subject")
    if not subject:
        raise refused(Reason.TOKEN_MALFORMED, "the token has no subject")
    service = subject in rules.services
    tenant = rules.fixed_tenant or _name(claims, rules.tenant, "tenant")
    if tenant and not allowed(tenant, rules.tenants):
        raise refused(Reason.TOKEN_TENANT, "the issuer of this token may not name this tenant")
    if not tenant and ANY not in rules.tenants and not service:
        raise refused(Reason.TOKEN_TENANT, "the token names no tenant, and its issuer is limited to some tenants")
    scopes = _scopes(claims, rules)
    return Caller(
        subject=subject,
        tenant=tenant,
        scopes=scopes if rules.most_scopes is None else scopes & rules.most_scopes,
        agent_id=_name(claims, rules.agent, "agent"),
        issuer=str(claims.get("iss", "")),
        token_id=_name(claims, "jti", "jti"),
        issued_s=issued_s,
        expires_s=dies_s,
        names_tenant=rules.tenants if service and not tenant else frozenset(),
    )


def allowed(tenant: str, tenants: frozenset[str]) -> bool:
    """Return whether a tenant is among those that an issuer may name."""
    return ANY in tenants or tenant in tenants


def at(claims: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path; None when it is missing.

    `/a/b` is a JSON pointer (RFC 6901), a name with `://` in it is one claim's name (Auth0's custom claims), and
    `realm_access.roles` goes down at each dot.
    """
    if path.startswith("/"):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    else:
        parts = [path] if "://" in path else path.split(".")
    found: Any = claims
    for part in parts[:_MAX_DEPTH]:
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    # bool is an int, json.loads accepts NaN and Infinity, and an int can have four thousand digits.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_INSTANT_S:
        raise refused(Reason.TOKEN_MALFORMED, f"the token's {name} is not a time")
    assert math.isfinite(value)
    return float(value)


def _name(claims: Mapping[str, Any], path: str, what: str) -> str:
    value = at(claims, path)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NAME_CHARS or not value.isprintable():
        raise refused(Reason.TOKEN_MALFORMED, f"the token's {what} is not a short text")
    if len(value.encode()) > MAX_NAME_BYTES:
        raise refused(Reason.TOKEN_MALFORMED, f"the token's {what} is not a short text")
    return value


def _words(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """Return the words of a claim: one text with spaces (RFC 8693), or a list of texts."""
    value = at(claims, path)
    if value is None:
        return frozenset()
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or len(words) > MAX_SCOPES:
        raise refused(Reason.TOKEN_MALFORMED, "the token's scopes or roles are not a list of words")
    if not all(isinstance(word, str) and 0 < len(word) <= MAX_NAME_CHARS for word in words):
        raise refused(Reason.TOKEN_MALFORMED, "the token's scopes or roles are not a list of words")
    return frozenset(words)


def _scopes(claims: Mapping[str, Any], rules: ClaimRules) -> frozenset[str]:
    words = frozenset[str]().union(*(_words(claims, path) for path in rules.scopes))
    prefix = rules.scope_prefix
    given = frozenset(word.removeprefix(prefix) for word in words if word.startswith(prefix))
    theirs = frozenset[str]().union(*(_words(claims, path) for path in rules.roles))
    names = rules.role_names
    ours = theirs if names is None else frozenset(names[name] for name in theirs if name in names)
    return given | scopes_of(ours)
