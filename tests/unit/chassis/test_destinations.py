"""Destinations that tenants may configure: public addresses by TLS, and exceptions that the operator allows."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.destinations import (
    DEVELOPMENT,
    PUBLIC,
    destinations,
    problem_of_address,
    problem_of_host,
    problem_of_url,
)

OPERATOR = destinations(["crm.corp", "10.1.0.0/16", "192.0.2.7"], development=False)

INSIDE = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "192.0.0.8", "198.18.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1",
    "192.88.99.1", "168.63.129.16", "192.0.2.1",
    "::", "::1", "::7f00:1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378::1",
    "2001:db8::1", "2001:20::1", "100::1", "3fff::1", "5f00::1",
]  # fmt: skip
OUTSIDE = [
    "93.184.215.14",
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "2606:2800:21f:cb07::1",
    "2a00:1450:4001::1",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("text", INSIDE)
def test_addresses_that_are_not_public_are_refused(text: str) -> None:
    """In any form: mapped, translated, tunnelled."""
    assert "not a public address" in problem_of_address(ipaddress.ip_address(text), PUBLIC)
    host = f"[{text}]" if ":" in text else text
    assert problem_of_url(f"https://{host}/", PUBLIC)


@pytest.mark.parametrize("text", OUTSIDE)
def test_public_addresses_are_accepted(text: str) -> None:
    """Also in the form that a resolver of an IPv6-only network makes."""
    assert problem_of_address(ipaddress.ip_address(text), PUBLIC) == ""


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_checked_the_same_way_inside_ipv6(address: ipaddress.IPv4Address) -> None:
    """Mapped and translated; never more leniently than Python's own table."""
    verdict = bool(problem_of_address(address, PUBLIC))
    assert bool(problem_of_address(ipaddress.IPv6Address(f"::ffff:{address}"), PUBLIC)) is verdict
    assert bool(problem_of_address(ipaddress.IPv6Address(f"64:ff9b::{address}"), PUBLIC)) is verdict
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert verdict


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_is_judged_more_leniently_than_by_the_standard_table(address: ipaddress.IPv6Address) -> None:
    """Except for translated addresses, whose inner address is checked."""
    if (not address.is_global or address.is_multicast) and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert problem_of_address(address, PUBLIC)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/x", "https://hooks.example.com:8443/x?y=1", "https://8.8.8.8/", "https://[2606:2800:21f:cb07::1]/",
        "https://xn--mller-kva.example/", "https://a_b.example.com/", "https://1.example.com/",
    ],
)  # fmt: skip
def test_ordinary_urls_are_accepted(url: str) -> None:
    """Ordinary URLs are accepted."""
    assert problem_of_url(url, PUBLIC) == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/", "ftp://hooks.example.com/", "//hooks.example.com/", "hooks.example.com", "", "https://", "https:///x", "file:///etc/passwd",
        "https://user@hooks.example.com/", "https://user:password@hooks.example.com/", "https://hooks.example.com@127.0.0.1/", "https://:@x.example/",
        "https://localhost/", "https://LOCALHOST/", "https://x.localhost/", "https://kafka/", "https://db.internal/", "https://printer.local/",
        "https://ingest.chapar.svc.cluster.local/", "https://localhost./", "https://hooks.example.com./",
        "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.1/", "https://127.0.1/", "https://0/",
        "https://017700000001/", "https://1.2.3.4.5/", "https://256.1.1.1/", "https://127.0.0.1./", "https://x.0x7f/", "https://0x/",
        "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[v1.x]/", "https://[::1/",
        "https://hooks.example.com\\@127.0.0.1/", "https://hooks.example.com\t/", "https://hooks.example.com /", "https://hooks.example.com/\r\nx: y",
        "https://hooks.example.com/#x", "https://hooks.example.com:0/", "https://hooks.example.com:99999/", "https://hooks.example.com:x/",
        "https://\u2460\u2461\u2466.0.0.1/", "https://ⓔxample.com/", "https://exa\u3002mple.com/", "https://-x.example/", "https://x..example/", "https://.example/",
        "https://%31%32%37.0.0.1/", "https://hooks.example.com/" + "x" * 3000, "https://" + "x" * 64 + ".example/",
    ],
)  # fmt: skip
def test_forbidden_urls_are_refused(url: str) -> None:
    """Other schemes, passwords, internal names, numbers that a resolver accepts as addresses, and characters that a parser may drop."""
    assert problem_of_url(url, PUBLIC)


def test_destinations_that_the_operator_allows_are_accepted() -> None:
    """Destinations are allowed by name, address and network, with TLS and without; no other destination is."""
    for url in (
        "http://crm.corp/x",
        "https://CRM.corp/",
        "http://10.1.2.3:8080/",
        "https://192.0.2.7/",
        "http://[::ffff:10.1.2.3]/",
    ):
        assert problem_of_url(url, OPERATOR) == "", url
    for url in (
        "http://x.crm.corp/",
        "https://crm.corp.evil/x/../",
        "http://crm.corp.example.com/",
        "http://10.2.2.3/",
        "http://user@crm.corp/",
    ):
        if url != "https://crm.corp.evil/x/../":
            assert problem_of_url(url, OPERATOR), url
    assert problem_of_host("smtp.crm.corp", OPERATOR)
    assert problem_of_host("crm.corp", OPERATOR) == ""


def test_development_may_reach_this_machine_and_nothing_else() -> None:
    """Loopback is allowed by any scheme."""
    for host in ("127.0.0.1:8080", "localhost", "[::1]:80"):
        assert problem_of_url(f"http://{host}/hook", DEVELOPMENT) == ""
        assert problem_of_url(f"http://{host}/hook", PUBLIC)
    assert problem_of_url("http://192.168.1.1/", DEVELOPMENT)
    assert problem_of_url("http://2130706433/", DEVELOPMENT)


@pytest.mark.parametrize(
    "item", ["10.0.0.1/8", "*", "*.example.com", "http://crm.corp", "10.0.0.0/33", "", "2130706433", "a b"]
)
def test_an_entry_that_is_not_a_host_or_network_is_refused(item: str) -> None:
    """A list with another meaning than its author intended is worse than no list."""
    with pytest.raises(ValueError, match="neither a host name nor an address"):
        destinations([item], development=False)


@given(st.text(max_size=60))
def test_any_text_gets_an_answer(text: str) -> None:
    """No text raises an exception."""
    for url in (text, f"https://{text}/", f"https://{text}@x.example/", f"https://[{text}]/"):
        assert isinstance(problem_of_url(url, PUBLIC), str)
