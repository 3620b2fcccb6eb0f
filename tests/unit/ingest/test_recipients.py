"""To whom a mail is sent: the customer alone, or the chosen addresses; never ourselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.messages import Identity, Route
from services.ingest.domain.normalise.mail.headers import split
from services.ingest.domain.normalise.mail.recipients import MOST, addresses
from services.ingest.domain.recipients import recipients, without_tag
from services.policy.model.mail_addresses import MOST_RECIPIENTS, first_wrong, is_address

SARA, OURS = "sara@mail.example", "help@acme.example"
ROUTE = Route(Identity("i", "acme", "email", "help", SARA), {"to": OURS}, "", 0)
ADDRESSES = st.sampled_from(
    (SARA, OURS, "help+3@acme.example", "SARA@mail.example", "carl@mail.example", "sales@acme.example")
)


def test_by_default_the_customer_alone() -> None:
    assert recipients(ROUTE, (), ()).everyone == (SARA,)
    assert recipients(ROUTE, (), ("carl@mail.example",)).to == (SARA,)


@given(st.lists(ADDRESSES, max_size=6), st.lists(ADDRESSES, max_size=6))
def test_each_address_once_in_order_and_never_ours(to: list[str], cc: list[str]) -> None:
    found = recipients(ROUTE, to, cc, ("sales@acme.example",))
    names = [each.lower() for each in found.everyone]
    assert len(names) == len(set(names))
    assert not {without_tag(each) for each in names} & {OURS, "sales@acme.example"}
    assert set(found.everyone) <= {*to, *cc, SARA}
    assert [each for each in to if each in found.to][: len(found.to)] or not found.to or not to
    if not to:
        assert found.to == (SARA,)


@pytest.mark.parametrize("text", ["a@b.example", "a.b+c@sub.b.example", "o'neil@b.example", "a@دامنه.example"])
def test_an_address(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a@b", "a b@c.example", "A <a@b.example>", "a@b.example,c@d.example", "a@b.example\r\nBcc: x@y.example", "@b.example",
     "a@.example", "a@b..example", "a" * 65 + "@b.example", "a@" + "b" * 250 + ".example", "نام@b.example"],
)  # fmt: skip
def test_no_address(text: str) -> None:
    assert not is_address(text)
    assert first_wrong((text,), ())
    assert first_wrong((), (text,))


def test_the_number_of_recipients_is_limited() -> None:
    many = [f"a{number}@b.example" for number in range(MOST_RECIPIENTS)]
    assert first_wrong(many, ()) == ""
    assert first_wrong(many, ("c@d.example",)) != ""


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("To: help@acme.example", (OURS,)),
        ('To: "Doe, John" <John@X.example>, help@acme.example', ("john@x.example", OURS)),
        ("To: a@x.example; b@x.example\r\nTo: a@x.example, c@x.example", ("a@x.example", "b@x.example", "c@x.example")),
        ('To: "evil@x.example" <real@y.example>', ("real@y.example",)),
        ("To: undisclosed-recipients:;", ()),
        ("To: =?utf-8?q?=D8=B3?= <s@x.example>", ("s@x.example",)),
        ("Subject: x", ()),
    ],
)
def test_the_addresses_in_a_header(header: str, found: tuple[str, ...]) -> None:
    assert addresses(split(f"{header}\r\n\r\n".encode())[0], "to") == found


def test_many_addresses_are_cut() -> None:
    listed = ", ".join(f"a{number}@x.example" for number in range(500))
    assert len(addresses(split(f"To: {listed}\r\n\r\n".encode())[0], "to")) == MOST


@given(st.binary(max_size=300))
def test_no_header_breaks_the_reader(raw: bytes) -> None:
    addresses(split(b"To: " + raw.replace(b"\n", b" ") + b"\r\n\r\n")[0], "to")
