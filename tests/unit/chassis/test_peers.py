"""Names in certificates: an e-mail address is not a host."""

from services.chassis.grpc.peers import typed_names


def names(**context: list[bytes]) -> tuple[str, ...]:
    return typed_names(context)


def test_names_carry_their_types() -> None:
    """A host and a URI with the same letters are different names."""
    found = names(
        x509_subject_alternative_name=[b"Router", b"spiffe://chapar/router", b"router@shop.example", b"10.0.0.1"],
        peer_dns=[b"Router"],
        peer_uri=[b"spiffe://chapar/router"],
        peer_email=[b"router@shop.example"],
        peer_ip=[b"10.0.0.1"],
        x509_common_name=[b"feedback"],
    )
    assert found == ("dns:router", "uri:spiffe://chapar/router")


def test_the_common_name_counts_without_alternative_names_only() -> None:
    """One e-mail address among the alternative names is enough to drop the common name."""
    assert names(x509_common_name=[b"router"]) == ("cn:router",)
    assert names(x509_common_name=[b"router"], x509_subject_alternative_name=[b"a@b.example"]) == ()
    assert names() == ()
