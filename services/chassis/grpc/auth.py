"""Who may call what. Default deny.

The rule of a method is its proto option `(chapar.common.v1.auth)`, read from the descriptors. A method without the option
is refused for everybody; so is one whose descriptor is unknown. Reflection is public where it is served; health is not
served here but on a port of its own.
With mTLS, `peers` also restricts which certificates may call, by their typed names (`services.chassis.grpc.peers`): by
full method, by service, or "*"; a method that no entry covers is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from chapar.common.v1 import options_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.tokens import Caller, Verifier

_PUBLIC_SERVICES = frozenset(
    {
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.reflection.v1.ServerReflection",
    }
)
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Rule:
    """What a method asks for."""

    scopes: frozenset[str]
    public: bool = False


def rule_of(method: str) -> Rule | None:
    """The rule of `/package.Service/Method`; None when there is none."""
    service, _, name = method.removeprefix("/").partition("/")
    if service in _PUBLIC_SERVICES:
        return Rule(frozenset(), public=True)
    try:
        descriptor = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return None
    return rule_of_descriptor(descriptor)


def rule_of_descriptor(descriptor: MethodDescriptor) -> Rule | None:
    """The same by descriptor, for the test that walks every RPC. A rule that neither opens nor asks is none."""
    options = descriptor.GetOptions()
    if not options.HasExtension(options_pb2.auth):
        return None
    found = options.Extensions[options_pb2.auth]
    if found.public == bool(found.scopes):
        return None
    return Rule(frozenset(found.scopes), found.public)


class Authorizer:
    """Decides about each call. Rules are looked up once a method."""

    def __init__(self, verifier: Verifier, peers: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._verifier = verifier
        self._peers = peers or {}
        self._rules: dict[str, Rule | None] = {}

    def authorize(self, method: str, authorization: str | None) -> Caller | None:
        """The caller, None for a public method. Raises UNAUTHENTICATED or PERMISSION_DENIED.

        Needs nothing but the call's headers, so that it comes before everything that costs memory.
        """
        rule = self._rule(method)
        if rule.public:
            return None
        if authorization is None or authorization[: len(_BEARER)].lower() != _BEARER:
            raise ChaparError(
                ErrorKind.UNAUTHENTICATED,
                "TOKEN_MISSING",
                "send a token: metadata authorization with the value 'Bearer <token>'",
            )
        caller = self._verifier.verify(authorization[len(_BEARER) :].strip())
        missing = rule.scopes - caller.scopes
        if missing:
            raise _denied("SCOPE_MISSING", f"{method} needs the scope {', '.join(sorted(missing))}", method)
        return caller

    def check_peer(self, method: str, peer: Iterable[str]) -> None:
        """Raises PERMISSION_DENIED when the caller's certificate may not call the method. `peer`: typed names."""
        if not self._peers or method.removeprefix("/").partition("/")[0] in _PUBLIC_SERVICES:
            return
        service = method.removeprefix("/").partition("/")[0]
        allowed = self._peers.get(method) or self._peers.get(service) or self._peers.get("*") or ()
        if frozenset(peer).isdisjoint(allowed):
            raise _denied("PEER_REFUSED", f"this certificate may not call {method}", method)

    def _rule(self, method: str) -> Rule:
        if method not in self._rules:
            self._rules[method] = rule_of(method)
        rule = self._rules[method]
        if rule is None:
            raise _denied("METHOD_CLOSED", f"{method} has no auth option, so nobody may call it", method)
        return rule


def _denied(reason: str, message: str, method: str) -> ChaparError:
    return ChaparError(ErrorKind.PERMISSION_DENIED, reason, message, metadata={"method": method})
