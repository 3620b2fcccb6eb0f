"""Survey links: a link is read as it was made, and any other text is refused."""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import replace

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.clock import ManualClock
from services.feedback.adapters.links import MAX_TOKEN_CHARS, SIGNATURE_BYTES, SignedLinks, link_key
from services.feedback.adapters.ticket_codec import VERSION, pack, unpack
from services.feedback.ports import Ticket
from services.policy.model.surveys import SurveyKind
from tests.unit.feedback.builders import HOUR, NOW, TENANT

KEY = link_key(b"s" * 40)
PERSON, INVITATION = "0190a2b4-4c6e-5d7f-8a9b-0123456789ab", "f47ac10b-58cc-5372-a567-0e02b2c3d479"
TEXTS = st.text(max_size=300) | st.uuids().map(str) | st.uuids().map(lambda value: str(value).upper())
TICKETS = st.builds(
    Ticket,
    tenant=TEXTS,
    person_id=TEXTS,
    invitation_id=TEXTS,
    survey=TEXTS,
    kind=st.sampled_from(SurveyKind),
    language=TEXTS,
    expires_at_ms=st.integers(0, (1 << 40) - 1).map(lambda seconds: seconds * 1000),
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def links(clock: ManualClock) -> SignedLinks:
    return SignedLinks(KEY, "https://ask.example.com/", clock)


def a_ticket() -> Ticket:
    return Ticket(TENANT, PERSON, INVITATION, "after-contact", SurveyKind.CSAT, "fa", NOW + HOUR)


def signed(body: bytes, key: bytes = KEY) -> str:
    """Return the token of any bytes, with a valid signature."""
    body += bytes(-(len(body) + SIGNATURE_BYTES) % 3)
    return urlsafe_b64encode(body + hmac.digest(key, body, "sha256")[:SIGNATURE_BYTES]).decode()


def test_a_link_is_below_the_public_address_and_short(links: SignedLinks) -> None:
    """A link with the ids that Chapar makes fits into one line of a text message with a question."""
    url = links.url(a_ticket())
    assert url.startswith("https://ask.example.com/s/")
    token = url.rpartition("/")[2]
    assert links.read(token) == a_ticket()
    assert len(token) <= 112


@given(TICKETS)
def test_any_ticket_is_read_as_it_was_made(ticket: Ticket) -> None:
    """Texts of any length and script, ids that are UUIDs and ids that only look like one."""
    token = SignedLinks(KEY, "", lambda: -1).token(ticket)
    found = SignedLinks(KEY, "", lambda: -1).read(token)
    assert found == (ticket if len(token) <= MAX_TOKEN_CHARS else None)


def test_the_bytes_of_a_link_never_change(links: SignedLinks) -> None:
    """Customers have links of this form for days: a new form needs a new version."""
    ticket = Ticket("parsa", PERSON, "i", "s", SurveyKind.NPS, "fa", 1_800_000_000_000)
    assert pack(ticket, SIGNATURE_BYTES).hex() == (
        "0102006b49d200" "057061727361" "ff0190a2b44c6e5d7f8a9b0123456789ab" "0169" "0173" "026661" "00"
    )  # fmt: skip


@pytest.mark.parametrize("expires_at_ms", [-5000, 1 << 62])
def test_an_expiry_out_of_range_becomes_the_nearest(expires_at_ms: int) -> None:
    """A record with a senseless expiry must not stop the dispatcher."""
    found = unpack(pack(replace(a_ticket(), expires_at_ms=expires_at_ms), SIGNATURE_BYTES))
    assert found is not None
    assert found.expires_at_ms == (0 if expires_at_ms < 0 else ((1 << 40) - 1) * 1000)


def test_a_text_of_a_megabyte_makes_a_link_that_is_refused(links: SignedLinks) -> None:
    """It is longer than a link may be, and it is refused before anything is computed."""
    ticket = replace(a_ticket(), person_id="p" * 1_000_000)
    assert unpack(pack(ticket, SIGNATURE_BYTES)) == ticket
    assert links.read(links.token(ticket)) is None


def test_an_expired_link_is_refused(links: SignedLinks, clock: ManualClock) -> None:
    """By the service's own clock."""
    token = links.token(a_ticket())
    clock.advance(HOUR)
    assert links.read(token) is None
    assert links.refusal(token) == "late"


@settings(max_examples=200)
@given(st.integers(0, 200), st.sampled_from("Aab0_-+/=.é\x00\ud800"))
def test_a_link_changed_anywhere_is_refused(place: int, letter: str) -> None:
    """One changed letter is enough, also one with another spelling of the same bytes."""
    links = SignedLinks(KEY, "", lambda: NOW)
    token = links.token(a_ticket())
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        assert links.read(changed) is None
        assert links.refusal(changed) == "forged"


@given(TICKETS)
def test_a_token_has_no_other_spelling(ticket: Ticket) -> None:
    """No spare bits, no padding, no letters of other alphabets."""
    links = SignedLinks(KEY, "", lambda: -1)
    token = links.token(ticket)
    assert len(token) % 4 == 0
    for other in (
        token + "=",
        token + "====",
        token + "A",
        token.replace("-", "+"),
        token.replace("_", "/"),
        token + "\n",
    ):
        assert other == token or links.read(other) is None


def test_other_tokens_are_refused_as_links(links: SignedLinks) -> None:
    """Not a token for the API, not one by another key, not signed bytes without the form of a ticket."""
    claims = {"aud": "chapar", "sub": "s", "exp": NOW}
    good = pack(a_ticket(), SIGNATURE_BYTES)
    assert links.read(signed(good)) == a_ticket()
    for token in (
        *("", "A", "AAAA", "a.b." + "c" * 5000, "A" * 2048),
        jwt.encode(claims, KEY),
        signed(good, b"x" * 32),
        signed(b""),
        signed(bytes((VERSION + 1,)) + good[1:]),
        signed(bytes((VERSION, 0)) + good[2:]),
        signed(good[:20]),
        signed(good[:7] + b"\xfe\xff\xff\xff"),
        signed(good[:7] + b"\x01\xff" * 5),
    ):
        assert links.read(token) is None


def test_a_ticket_that_is_cut_anywhere_is_refused() -> None:
    """Also inside the last text, which would be shorter."""
    whole = min((pack(a_ticket(), padding) for padding in range(3)), key=len)
    assert unpack(whole) == a_ticket()
    assert all(unpack(whole[:size]) is None for size in range(len(whole)))


@settings(max_examples=300)
@given(st.binary(max_size=120) | st.binary(max_size=120).map(lambda raw: bytes((VERSION, 1)) + raw))
def test_any_bytes_are_a_ticket_or_none(raw: bytes) -> None:
    """A ticket that is read has all its bytes: it packs to the same beginning."""
    found = unpack(raw)
    if found is not None:
        assert unpack(pack(found, SIGNATURE_BYTES)) == found


def test_a_key_is_replaced_without_refusing_a_link(clock: ManualClock) -> None:
    """First all processes read the new key's links, then they sign with it, then the former key goes."""
    old, new = b"o" * 32, b"n" * 32
    before, ready, after = (
        SignedLinks(old, "", clock),
        SignedLinks(old, "", clock, [new]),
        SignedLinks(new, "", clock, [old]),
    )
    for maker in (before, ready, after):
        token = maker.token(a_ticket())
        assert ready.read(token) == after.read(token) == a_ticket()
    assert before.read(after.token(a_ticket())) is None
    assert SignedLinks(new, "", clock).read(before.token(a_ticket())) is None


def test_links_with_different_secrets_do_not_mix(clock: ManualClock, links: SignedLinks) -> None:
    """A key derived for links is not the secret itself."""
    assert SignedLinks(b"s" * 40, "", clock).read(links.token(a_ticket())) is None
