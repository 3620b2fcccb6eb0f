"""Keys of one machine's development: who signs, who verifies by which public part, and tokens for people who try Chapar.

Each signer has a key pair of its own in `.chapar/secrets/keys`: `chapar` for people (the `chapar` command mints their tokens),
`sla` and `feedback` for their own calls. A service is given public parts only, and its issuer can grant no more than the calls
need: nothing that verifies can sign.
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
from services.cli.workspace import Workspace

TOKEN_LIFETIME_S: Final = 12 * 3600.0
_PEOPLE: Final = "chapar"
_CALLS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "sla": ("router", ("routing.escalate",)),
        "feedback": ("ingest", ("outbound.send", "ingest.follow_up")),
    }
)
"""Who calls whom, and the most that they may do there."""


def make_keys(workspace: Workspace) -> None:
    """Makes the pairs that are missing: `chapar run` does, no other command."""
    for name in (_PEOPLE, *_CALLS):
        make_key_pair(_private(workspace, name), _public(workspace, name))


def environment_of(workspace: Workspace, service: str) -> dict[str, str]:
    """The variables by which a service verifies its callers and signs its own calls."""
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
    """The scopes of a token: a role's, with more; without either everything, as the operator of a laptop.

    Raises INVALID for a scope that does not exist.
    """
    more = frozenset(more)
    if unknown := more - SCOPES:
        raise ChaparError(
            ErrorKind.INVALID,
            "NO_SUCH_SCOPE",
            f"{', '.join(sorted(unknown))}: there are {', '.join(sorted(SCOPES))}",
        )
    if role is None:
        return more or SCOPES
    return SCOPES_OF[role] | more


def minted(
    workspace: Workspace, subject: str, tenant: str, scopes: Iterable[str], *, agent_id: str = "", ttl: float
) -> str:
    """A token signed with this copy's development key. Raises FAILED_PRECONDITION where there is none."""
    return mint(_signing_key(workspace), subject, tenant, scopes, agent_id, ttl)


def tokens(workspace: Workspace, subject: str, scopes: Iterable[str], *, agent_id: str = "") -> TokenSource:
    """The same, renewed in time: for whatever stays connected."""
    return TokenSource(_signing_key(workspace), subject, scopes, ttl=TOKEN_LIFETIME_S, agent_id=agent_id)


def _signing_key(workspace: Workspace) -> bytes:
    try:
        # Not made if it is missing, nor need it be writable: compose mounts it read-only.
        return (workspace.home / "secrets" / "keys" / f"{_PEOPLE}.pem").read_bytes()
    except FileNotFoundError as error:
        raise not_development() from error


def not_development() -> ChaparError:
    """No key here signs tokens that would be accepted."""
    return ChaparError(
        ErrorKind.FAILED_PRECONDITION,
        "NOT_DEVELOPMENT",
        "tokens are minted in development only, beside `chapar run`: "
        "elsewhere take one from your identity provider, and give it in CHAPAR_TOKEN",
    )


def _private(workspace: Workspace, name: str) -> Path:
    return workspace.directory("secrets/keys") / f"{name}.pem"


def _public(workspace: Workspace, name: str) -> Path:
    return workspace.directory("secrets/keys") / f"{name}.pub.pem"
