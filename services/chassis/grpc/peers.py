"""Names in a caller's certificate, with their types: `dns:router`, `uri:spiffe://…`, `cn:router`.

A name without its type could confuse an e-mail address, which some authorities sign for everyone, with a host's name. The
common name counts only in a certificate without subject alternative names (RFC 9525, 6.4.4 drops it even there; older
private authorities still issue such certificates).
"""

from collections.abc import Iterable, Mapping


def typed_names(auth_context: Mapping[str, Iterable[bytes]]) -> tuple[str, ...]:
    """Return the names of a connection's peer, as gRPC's authentication context holds them."""

    def of(key: str) -> tuple[str, ...]:
        return tuple(value.decode("utf-8", "replace") for value in auth_context.get(key) or ())

    names = (*(f"dns:{name.lower()}" for name in of("peer_dns")), *(f"uri:{name}" for name in of("peer_uri")))
    if of("x509_subject_alternative_name"):
        return names
    return tuple(f"cn:{name}" for name in of("x509_common_name"))
