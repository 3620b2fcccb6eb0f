"""Authorization: default deny, and no RPC of ours without a rule."""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import MethodDescriptor

from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import ingest_pb2
from chapar.router.v1 import router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.auth import Authorizer, rule_of, rule_of_descriptor
from services.chassis.tokens import Verifier, mint

SECRET = b"0123456789abcdef0123456789abcdef"
READ = "/chapar.sla.v1.SlaService/GetDeadlines"
CONTRACTS = (ingest_pb2, router_pb2, sla_pb2, feedback_pb2)


def methods() -> Iterator[MethodDescriptor]:
    for module in CONTRACTS:
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from service.methods


@pytest.mark.parametrize("method", list(methods()), ids=lambda method: method.full_name)
def test_every_rpc_has_a_rule(method: MethodDescriptor) -> None:
    """A method without the option would be refused for every caller; scopes have the form `area.verb`."""
    rule = rule_of_descriptor(method)
    assert rule is not None
    assert rule.public or all(scope.count(".") == 1 and scope == scope.lower() for scope in rule.scopes)


def test_the_list_of_methods_has_every_service() -> None:
    """Otherwise the test above would prove nothing."""
    assert {method.containing_service.name for method in methods()} == {
        "IngestService", "OutboundService", "PersonService", "AgentService", "RoutingService",
        "AgentDirectoryService", "SlaService", "FeedbackService",
    }  # fmt: skip


@pytest.mark.parametrize("method", ["/no.such.Service/X", "/chapar.sla.v1.SlaService/Nope", "nonsense", "", "/"])
def test_methods_without_a_description_are_refused(method: str) -> None:
    """Default deny, with any token."""
    assert rule_of(method) is None
    authorizer = Authorizer(Verifier.from_secret(SECRET))
    with pytest.raises(ChaparError) as caught:
        authorizer.authorize(method, f"Bearer {mint(SECRET, 's', 'acme', ['sla.read'])}")
    assert (caught.value.kind, caught.value.reason) == (ErrorKind.PERMISSION_DENIED, "METHOD_CLOSED")


@pytest.mark.parametrize(
    ("peers", "names", "allowed"),
    [
        ({}, (), True),
        ({"*": ("dns:router",)}, ("dns:router", "uri:spiffe://x"), True),
        ({"*": ("dns:router",)}, ("dns:feedback",), False),
        ({"*": ("dns:router",)}, (), False),
        ({"chapar.sla.v1.SlaService": ("dns:router",)}, ("dns:router",), True),
        ({"chapar.sla.v1.SlaService": ("dns:feedback",), "*": ("dns:router",)}, ("dns:router",), False),
        ({READ: ("dns:feedback",), "chapar.sla.v1.SlaService": ("dns:router",)}, ("dns:router",), False),
        ({"chapar.router.v1.RoutingService": ("dns:router",)}, ("dns:router",), False),
    ],
)
def test_the_nearest_entry_of_the_peers_decides(
    peers: dict[str, tuple[str, ...]], names: tuple[str, ...], allowed: bool
) -> None:
    """Method before service before all; calls that no entry covers are refused."""
    authorizer = Authorizer(Verifier.from_secret(SECRET), peers)
    if allowed:
        authorizer.check_peer(READ, names)
        return
    with pytest.raises(ChaparError) as caught:
        authorizer.check_peer(READ, names)
    assert caught.value.reason == "PEER_REFUSED"


def test_health_is_closed_on_the_port_for_callers() -> None:
    """Health is served on its own port; on this port a probe is an unknown caller."""
    authorizer = Authorizer(Verifier.from_secret(SECRET))
    with pytest.raises(ChaparError) as caught:
        authorizer.authorize("/grpc.health.v1.Health/Check", None)
    assert caught.value.reason == "METHOD_CLOSED"
