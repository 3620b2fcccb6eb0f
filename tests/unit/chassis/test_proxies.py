"""The client of a request that comes by proxies: the proxies' entries are trusted, the client's are not."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.chassis.http.proxies import TrustedProxies, address_in, networks_of, peer_key

PROXIES = TrustedProxies(networks_of("10.0.0.0/8, 2001:db8:1::/48 192.0.2.1"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.1.1.1", ["1.1.1.1, 203.0.113.5"], "203.0.113.5"),
        ("10.1.1.1", ["1.1.1.1", "203.0.113.5, 10.2.2.2"], "203.0.113.5"),
        ("10.1.1.1", ["203.0.113.5, 10.2.2.2", "192.0.2.1"], "203.0.113.5"),
        ("10.1.1.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ("10.1.1.1", ["203.0.113.5, nonsense"], "10.1.1.1"),
        ("10.1.1.1", ["203.0.113.5, nonsense, 10.2.2.2"], "10.2.2.2"),
        ("10.1.1.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("10.1.1.1", ["[2001:db8:2::7]:4711"], "2001:db8:2::7"),
        ("10.1.1.1", ["2001:db8:2::7"], "2001:db8:2::7"),
        ("10.1.1.1", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("::ffff:10.1.1.1", ["203.0.113.5"], "203.0.113.5"),
        ("2001:db8:1::9", ["fe80::1%eth0"], "fe80::1"),
        ("10.1.1.1", ["unknown"], "10.1.1.1"),
        ("10.1.1.1", ["x" * 1_000_000 + ", 203.0.113.5"], "203.0.113.5"),
        ("10.1.1.1", ["10.9.9.9, " * 100_000], "10.1.1.1"),
    ],
)
def test_the_client_is_read_from_the_right(peer: str, forwarded: list[str], client: str) -> None:
    """Trusted proxies are skipped, the first other address is the client, and nothing left of it counts."""
    assert PROXIES.client(peer, forwarded) == client


@given(st.text(max_size=200))
@example("127.0.0.1, 10.0.0.1")
def test_a_client_can_not_choose_its_address(written: str) -> None:
    """Whatever the client writes into the field, the proxy appends the address that it saw, and that address counts."""
    assert PROXIES.client("10.1.1.1", [written, "203.0.113.5"]) == "203.0.113.5"
    assert TrustedProxies().client("203.0.113.5", [written]) == "203.0.113.5"


@given(st.text(max_size=100))
def test_any_text_is_an_address_or_none(text: str) -> None:
    """No text raises an exception, and a key is never empty."""
    found = address_in(text)
    assert found is None or isinstance(found, ipaddress.IPv4Address | ipaddress.IPv6Address)
    assert peer_key(text)


def test_a_whole_prefix_is_one_peer() -> None:
    """A customer has a /64 of IPv6 addresses; an IPv4 address mapped into IPv6 is the IPv4 address."""
    assert peer_key("2001:db8::1") == peer_key("2001:db8::ffff:1:2:3") != peer_key("2001:db8:0:1::1")
    assert peer_key("::ffff:203.0.113.5") == peer_key("203.0.113.5") == "203.0.113.5"


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "proxy.example", "*", "10.0.0.0/33", "10.0.0.0/8;192.0.2.1"])
def test_an_invalid_network_is_refused(wrong: str) -> None:
    """A name or a wildcard would trust the wrong addresses."""
    with pytest.raises(ValueError, match="neither an address nor a network"):
        networks_of(wrong)
