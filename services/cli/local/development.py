"""Signing keys for development on one machine, and tokens for people who try Chapar.

Each signer has its own key pair in `.chapar/secrets/keys`: `chapar` for people (the `chapar` command mints their tokens),
`sla` and `feedback` for their own calls. A service gets only the public keys that it verifies with, and each issuer can grant only
the scopes that its calls need: a process that verifies cannot sign.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.tokens import SCOPES, TokenSource, make_key_pair, mint
from services.chassis.tokens.roles import SCOPES_OF, Role
from services.cli.local.workspace import Workspace
from services.cli.reasons import Reason

TOKEN_LIFETIME_S: Final = 12 * 3600.0
_PEOPLE: Final = "chapar"
_CALLS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "sla": ("router", ("routing.escalate",)),
        "feedback": ("ingest", ("outbound.send", "ingest.follow_up")),
    }
)
"""For each calling service: the service it calls, and the scopes it may have there."""


def make_keys(workspace: Workspace) -> None:
    """Generate the key pairs that are missing. Only `chapar run` does this."""
    for name in (_PEOPLE, *_CALLS):
        make_key_pair(_private(workspace, name), _public(workspace, name))


def environment_of(workspace: Workspace, service: str) -> dict[str, str]:
    """Return the variables with which a service verifies its callers and signs its own calls."""
    prefix = f"CHAPAR_{service.upper()}_"
    found = {f"{prefix}JWT__PUBLIC_KEY_FILE": str(_public(workspace, _PEOPLE))}
    callers = [
        {
            "issuer": f"chapar.{caller}",
            "public_key_file": str(_public(workspace, caller)),
            "tenants": ["*"],
            "scopes": list(scopes),
        }
        for caller, (called, scopes) in _CALLS.items()
        if called == service
    ]
    if callers:
        found[f"{prefix}JWT__ISSUERS"] = json.dumps(callers)
    if service in _CALLS:
        found[f"{prefix}SERVICE_TOKEN__KEY_FILE"] = str(_private(workspace, service))
    return found


def scopes_for(role: Role | None, more: Iterable[str] = ()) -> frozenset[str]:
    """Return the scopes of a token: those of a role, plus `more`. Without either, all scopes, as for the operator of a laptop.

    Raises INVALID for a scope that does not exist.
    """
    more = frozenset(more)
    if unknown := more - SCOPES:
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.UNKNOWN_SCOPE,
            f"{', '.join(sorted(unknown))}: the scopes are {', '.join(sorted(SCOPES))}",
        )
    if role is None:
        return more or SCOPES
    return SCOPES_OF[role] | more


def minted(
    workspace: Workspace, subject: str, tenant: str, scopes: Iterable[str], *, agent_id: str = "", ttl: float
) -> str:
    """Return a token signed with this copy's development key. Raises FAILED_PRECONDITION if there is no key."""
    return mint(_signing_key(workspace), subject, tenant, scopes, agent_id, ttl)


def tokens(workspace: Workspace, subject: str, scopes: Iterable[str], *, agent_id: str = "") -> TokenSource:
    """Return a source of such tokens that renews them in time, for connections that stay open."""
    return TokenSource(_signing_key(workspace), subject, scopes, ttl=TOKEN_LIFETIME_S, agent_id=agent_id)


def _signing_key(workspace: Workspace) -> bytes:
    try:
        # The key is not generated if it is missing, and need not be writable: compose mounts it read-only.
        return (workspace.home / "secrets" / "keys" / f"{_PEOPLE}.pem").read_bytes()
    except FileNotFoundError as error:
        raise not_development() from error


def not_development() -> ChaparError:
    """Return the error for a copy without a key whose tokens would be accepted."""
    return ChaparError(
        ErrorKind.FAILED_PRECONDITION,
        Reason.NOT_DEVELOPMENT,
        "tokens are minted only in development, where `chapar run` runs: "
        "elsewhere get a token from your identity provider and set CHAPAR_TOKEN to it",
    )


def _private(workspace: Workspace, name: str) -> Path:
    return workspace.directory("secrets/keys") / f"{name}.pem"


def _public(workspace: Workspace, name: str) -> Path:
    return workspace.directory("secrets/keys") / f"{name}.pub.pem"
