"""The addresses in settings, as gRPC wants them."""

import pytest

from services.chassis.grpc.client import target_of


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("router:1", "router:1"),
        ("10.0.0.1:1, 10.0.0.2:1", "ipv4:10.0.0.1:1,10.0.0.2:1"),
        ("dns:///router:1", "dns:///router:1"),
        ("dns://10.0.0.9/a,b:1", "dns://10.0.0.9/a,b:1"),
        ("ipv4:10.0.0.1:1,10.0.0.2:1", "ipv4:10.0.0.1:1,10.0.0.2:1"),
    ],
)
def test_several_addresses_are_replicas_of_one_service(address: str, target: str) -> None:
    """Calls are spread over all of them; an address in gRPC's form is left as it is."""
    assert target_of(address) == target
