"""Decides which callers may call which methods. Denies by default.

The rule of a method is its proto option `(chapar.common.v1.auth)`, read from the descriptors. A method without the option
is refused for every caller, and so is a method whose descriptor is unknown. Reflection is public where it is served; health
is served on another port.
An expired or revoked token is refused, and its open streams end (`lifetimes`). A service whose token names no tenant
names one per call, by metadata `chapar-tenant`, if its issuer's settings allow it.
With mTLS, `peers` also restricts which certificates may call, by their typed names (`services.chassis.grpc.peers`): by
full method, by service, or "*"; a method that no entry covers is refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from chapar.common.v1 import options_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.lifetimes import Lifetimes
from services.chassis.reasons import Reason
from services.chassis.tokens import Caller, Verifier
from services.chassis.tokens.claims import allowed

_PUBLIC_SERVICES = frozenset(
    {
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.reflection.v1.ServerReflection",
    }
)
_BEARER = "bearer "
_TENANT_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
TENANT: Final = "chapar-tenant"
"""Metadata by which a service whose token names no tenant says for which one it calls."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The scopes that a method requires: all of `scopes`, and one of `any_of` unless it is empty."""

    scopes: frozenset[str]
    public: bool = False
    any_of: frozenset[str] = frozenset()

    def missing(self, held: frozenset[str]) -> str:
        """Return a text that names the scopes which a caller lacks; empty when none."""
        if lacks := self.scopes - held:
            return f"the scope {', '.join(sorted(lacks))}"
        if self.any_of and self.any_of.isdisjoint(held):
            return f"one of the scopes {', '.join(sorted(self.any_of))}"
        return ""


class CallerRefused(ChaparError):  # noqa: N818 - reads as what happened
    """Raised when a caller with a valid token may not make this call; the audit log records it.

    The tenant of `caller` is the requested one; it is empty if the request contains no valid name.
    """

    def __init__(self, caller: Caller, method: str, reason: str, message: str) -> None:
        super().__init__(ErrorKind.PERMISSION_DENIED, reason, message, metadata={"method": method})
        self.caller = caller


def rule_of(method: str) -> Rule | None:
    """Return the rule of `/package.Service/Method`; None when it has none."""
    service, _, name = method.removeprefix("/").partition("/")
    if service in _PUBLIC_SERVICES:
        return Rule(frozenset(), public=True)
    try:
        descriptor = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return None
    return rule_of_descriptor(descriptor)


def rule_of_descriptor(descriptor: MethodDescriptor) -> Rule | None:
    """Return the rule of a method by its descriptor. A rule that is neither public nor names a scope counts as none."""
    options = descriptor.GetOptions()
    if not options.HasExtension(options_pb2.auth):
        return None
    found = options.Extensions[options_pb2.auth]
    if found.public == bool(found.scopes or found.any_of):
        return None
    return Rule(frozenset(found.scopes), found.public, frozenset(found.any_of))


class Authorizer:
    """Decides about each call. Looks the rule of each method up once."""

    def __init__(
        self,
        verifier: Verifier,
        peers: Mapping[str, tuple[str, ...]] | None = None,
        lifetimes: Lifetimes | None = None,
    ) -> None:
        self.lifetimes = lifetimes or Lifetimes()
        self._verifier = verifier
        self._peers = peers or {}
        self._rules: dict[str, Rule | None] = {}

    async def prepare(self, authorization: str | None) -> None:
        """Fetch keys that are not known yet. `authorize` itself does not wait."""
        if authorization is not None and authorization[: len(_BEARER)].lower() == _BEARER:
            await self._verifier.prepare(authorization[len(_BEARER) :].strip())

    def authorize(self, method: str, authorization: str | None, tenant: str | None = None) -> Caller | None:
        """Return the caller; None for a public method. `tenant`: the tenant that a service names per call.

        Raises UNAUTHENTICATED or PERMISSION_DENIED. Needs only the call's headers, so it runs before every step
        that uses memory.
        """
        rule = self._rule(method)
        if rule.public:
            return None
        if authorization is None or authorization[: len(_BEARER)].lower() != _BEARER:
            raise ChaparError(
                ErrorKind.UNAUTHENTICATED,
                Reason.TOKEN_MISSING,
                "send a token: metadata authorization with the value 'Bearer <token>'",
            )
        caller = self._verifier.verify(authorization[len(_BEARER) :].strip())
        if (refusal := self.lifetimes.refusal(caller)) is not None:
            raise refusal
        if missing := rule.missing(caller.scopes):
            meant = caller if not caller.names_tenant else _meant(caller, tenant)
            raise CallerRefused(meant, method, Reason.SCOPE_MISSING, f"{method} needs {missing}")
        return self._for_tenant(caller, tenant, method) if caller.names_tenant else caller

    def _for_tenant(self, caller: Caller, tenant: str | None, method: str) -> Caller:
        if not tenant:
            message = f"the token names no tenant: name one in metadata {TENANT}"
            raise CallerRefused(caller, method, Reason.TENANT_MISSING, message)
        if not allowed(tenant, caller.names_tenant):
            message = "this service may not call for this tenant"
            raise CallerRefused(_meant(caller, tenant), method, Reason.TENANT_REFUSED, message)
        return replace(caller, tenant=tenant)

    def check_peer(self, method: str, peer: Iterable[str], caller: Caller | None = None) -> None:
        """Check that the caller's certificate may call the method; raises PERMISSION_DENIED. `peer`: typed names.

        `caller`: the caller that the token names; None for a public method.
        """
        if not self._peers or method.removeprefix("/").partition("/")[0] in _PUBLIC_SERVICES:
            return
        service = method.removeprefix("/").partition("/")[0]
        allowed = self._peers.get(method) or self._peers.get(service) or self._peers.get("*") or ()
        if frozenset(peer).isdisjoint(allowed):
            message = f"this certificate may not call {method}"
            if caller is None:
                raise _denied(Reason.PEER_REFUSED, message, method)
            raise CallerRefused(caller, method, Reason.PEER_REFUSED, message)

    def _rule(self, method: str) -> Rule:
        if method not in self._rules:
            self._rules[method] = rule_of(method)
        rule = self._rules[method]
        if rule is None:
            raise _denied(Reason.METHOD_CLOSED, f"{method} has no auth option, so nobody may call it", method)
        return rule


def _meant(caller: Caller, tenant: str | None) -> Caller:
    """Return the caller with the requested tenant, which need not exist; without a tenant when it is not a valid name."""
    return replace(caller, tenant=tenant if tenant is not None and _TENANT_NAME.fullmatch(tenant) else "")


def _denied(reason: str, message: str, method: str) -> ChaparError:
    return ChaparError(ErrorKind.PERMISSION_DENIED, reason, message, metadata={"method": method})
