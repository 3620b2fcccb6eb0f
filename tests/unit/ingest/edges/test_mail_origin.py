"""Which headers of a mail count as a proof, and whose message it then is. Pure; the real signatures are in the
integration tests.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.adapters.edges.mail_authentication import organisations
from services.ingest.domain.normalise.mail.headers import split
from services.ingest.domain.normalise.mail.mail import parse_mail
from services.ingest.domain.normalise.mail.origin import Authenticated, Mailbox, with_origin
from services.ingest.domain.normalise.mail.signatures import aligned, author_of, candidates, plain_block
from services.ingest.domain.normalise.mail.trusted_results import TrustedResult, trusted_result
from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.domain.origin import OriginProof
from services.ingest.domain.reply_token import ReplyToken
from tests.fixtures.signed_mail import a_raw_mail

ANN = "ann@shop.example"
organisation_of = organisations()
RECEIVED = "Received: from a by mx.example; today\r\n"
PASSED = "Authentication-Results: mx.example; dmarc=pass (p=reject) header.from=shop.example\r\n"


def results(head: str, hops: int = 1) -> TrustedResult | str:
    headers, _ = split((head + "From: ann@shop.example\r\n\r\nhi").encode())
    return trusted_result(headers, "mx.example", hops, "shop.example", organisation_of)


@pytest.mark.parametrize(
    "head",
    [
        PASSED + RECEIVED,
        "Authentication-Results: other.example; dmarc=fail\r\n" + PASSED + RECEIVED,
        "Authentication-Results: mx.example 1; spf=pass smtp.mailfrom=x@y; dkim=pass header.d=shop.example\r\n"
        + RECEIVED,
        PASSED + RECEIVED + "Authentication-Results: mx.example; dmarc=fail header.from=shop.example\r\n",
        "AUTHENTICATION-RESULTS: MX.Example;\r\n\tdmarc=pass\r\n\theader.from=Shop.Example\r\n" + RECEIVED,
    ],
)
def test_results_of_the_trusted_server_count(head: str) -> None:
    assert isinstance(results(head), TrustedResult)


@pytest.mark.parametrize(
    "head",
    [
        RECEIVED + PASSED,  # came with the mail
        PASSED,  # did not pass through our server
        RECEIVED + PASSED + RECEIVED,
        "Authentication-Results: mx.example; dmarc=fail header.from=shop.example\r\n" + PASSED + RECEIVED,
        "Authentication-Results: mx.example; none\r\n" + PASSED + RECEIVED,
        "Authentication-Results: evil.mx.example; dmarc=pass header.from=shop.example\r\n" + RECEIVED,
        "Authentication-Results: mx.example.evil; dmarc=pass header.from=shop.example\r\n" + RECEIVED,
        "Authentication-Results: mx.example; dmarc=pass header.from=other.example\r\n" + RECEIVED,
        "Authentication-Results: mx.example; dkim=pass header.d=evil.example\r\n" + RECEIVED,
        "Authentication-Results: mx.example; dkim=pass header.d=example\r\n" + RECEIVED,
        "Authentication-Results: mx.example; dkim=fail header.d=shop.example\r\n" + RECEIVED,
        "Authentication-Results: mx.example; spf=pass smtp.mailfrom=shop.example\r\n" + RECEIVED,
        "Authentication-Results: mx.example; dmarc=fail; dmarc=pass header.from=shop.example\r\n" + RECEIVED,
        "Authentication-Results: mx.example; dmarc=fail (; dmarc=pass header.from=shop.example)\r\n" + RECEIVED,
        'Authentication-Results: mx.example; dkim=fail reason="; dmarc=pass header.from=shop.example"\r\n' + RECEIVED,
        'Authentication-Results: mx.example; dkim=fail (" ; dmarc=pass header.from=shop.example (") x\r\n' + RECEIVED,
        'Authentication-Results: mx.example; x=y reason="\\"; dmarc=pass header.from=shop.example "\r\n' + RECEIVED,
        "Authentication-Results: mx.example; dkim=fail ((a) ; dmarc=pass header.from=shop.example )\r\n" + RECEIVED,
        "Authentication-Results: mx.example; dmarc=pass header.from=evil.example header.from=shop.example\r\n"
        + RECEIVED,
    ],
)
def test_what_came_with_the_mail_or_says_no_proves_nothing(head: str) -> None:
    assert isinstance(results(head), str)


def test_more_than_one_trusted_server() -> None:
    """The results are above the Received header of the outer one."""
    assert isinstance(results(RECEIVED + PASSED + RECEIVED, hops=2), TrustedResult)
    assert isinstance(results(RECEIVED + RECEIVED + PASSED, hops=2), str)
    assert isinstance(results(RECEIVED + PASSED, hops=2), str)


@pytest.mark.parametrize(
    ("domain", "author", "same"),
    [
        ("shop.example", "shop.example", True),
        ("mail.shop.example", "shop.example", True),
        ("shop.example", "mail.shop.example", True),
        ("a.shop.example", "b.shop.example", False),
        ("evilshop.example", "shop.example", False),
        ("example", "shop.example", False),
        ("co.uk", "shop.co.uk", False),
        ("evil.co.uk", "shop.co.uk", False),
    ],
)
def test_alignment(domain: str, author: str, same: bool) -> None:
    assert aligned(domain, author, organisation_of) is same


@pytest.mark.parametrize(
    "tags",
    [
        "v=1; a=rsa-sha256; d=evil.example; s=s; h=from; b=x; bh=y",
        "v=1; a=rsa-sha1; d=shop.example; s=s; h=from; b=x; bh=y",
        "v=1; a=rsa-sha256; d=shop.example; s=s; h=from; l=3; b=x; bh=y",
        "v=1; a=rsa-sha256; d=shop.example; s=s; h=subject; b=x; bh=y",
        "v=1; a=rsa-sha256; d=shop.example; d=evil.example; s=s; h=from; b=x; bh=y",
        "v=1; a=rsa-sha256; d=shop.example; s=../s; h=from; b=x; bh=y",
        "v=1; a=rsa-sha256; d=shop.example; s=s; h=from; b=" + " " * 100 + "x; bh=y",
        "v=1; a=rsa-sha256; d=shop.example; s=s; h=from; b=" + "x" * 5000 + "; bh=y",
    ],
)
def test_signatures_that_are_not_worth_a_look(tags: str) -> None:
    """Signatures of others, of a part of the mail, with a broken hash, or made to cost time: no name is looked up for
    them."""
    headers, _ = split(f"DKIM-Signature: {tags}\r\nFrom: {ANN}\r\n\r\nhi".encode())
    assert candidates(headers, ANN, organisation_of) == ()
    good = "v=1; a=rsa-sha256; d=shop.example; s=s; h=from:reply-to; b=x; bh=y"
    headers, _ = split(f"DKIM-Signature: {good}\r\nFrom: {ANN}\r\n\r\nhi".encode())
    assert len(candidates(headers, ANN, organisation_of)) == 1


def test_only_a_few_signatures_are_looked_at() -> None:
    line = "DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=s; h=from; b=x; bh=y\r\n"
    headers, _ = split((line * 50 + f"From: {ANN}\r\n\r\nhi").encode())
    assert len(candidates(headers, ANN, organisation_of)) == 3


@pytest.mark.parametrize(
    "block",
    [
        b"Subject: x\rFrom: ann@shop.example\r\nFrom: evil@evil.example\r\n\r\nhi",
        b"Subject: \0\r\nFrom: ann@shop.example\r\n\r\nhi",
        b"X: " + b"y" * 70_000 + b"\r\nFrom: ann@shop.example\r\n\r\nhi",
    ],
)
def test_a_block_that_parsers_may_read_differently_proves_nothing(block: bytes) -> None:
    assert plain_block(block) is None


def test_the_author_is_exactly_one_address_or_unknown() -> None:
    for text, author in (
        ("From: Ann <ann@shop.example>\r\n", ANN),
        ("From: ann@shop.example, evil@evil.example\r\n", ""),
        ("From: ann@shop.example\r\nFrom: evil@evil.example\r\n", ""),
        ("Subject: x\r\n", ""),
    ):
        assert author_of(split(f"{text}\r\nhi".encode())[0]) == author


def read(reply_to: str = "", token: str = "", owner: str = ""):  # type: ignore[no-untyped-def]  # the parser's own type
    raw = a_raw_mail(reply_to=reply_to, extra="In-Reply-To: <ours@x>\r\n" if token else "")
    known = {"<ours@x>": ReplyToken(token, owner)} if token else {}
    return parse_mail(raw, ANN, "support@demo.example", known.get)


MAILBOX = Mailbox(lambda address: f"id of {address}", lambda address: address == "support@demo.example")


def stated(message: IncomingMessage, known: Authenticated) -> IncomingMessage:
    return with_origin(message, known, MAILBOX)


PROVEN = Authenticated(ANN, OriginProof.DKIM_DMARC, "dkim d=shop.example", True)


@pytest.mark.parametrize(
    ("known", "alternative"),
    [
        (Authenticated(ANN), "evil@attacker.example"),
        (Authenticated(), "evil@attacker.example"),
        (Authenticated(ANN, OriginProof.DKIM_DMARC, "dkim", False), ""),
    ],
)
def test_a_reply_to_that_nothing_proves_is_at_most_an_alternative(known: Authenticated, alternative: str) -> None:
    """The lane of the author decides. Of a proven author it is shown only: the mail may have been sent again with it."""
    message = stated(read(reply_to="evil@attacker.example"), known)
    assert (message.native_id, message.answer_to) == (ANN, alternative)
    assert (message.origin.author, message.origin.reply_to) == (ANN, "evil@attacker.example")
    assert message.origin.proof is known.proof


def test_our_own_address_is_nobodys_reply_to() -> None:
    for known in (Authenticated(ANN), PROVEN):
        message = stated(read(reply_to="support@demo.example"), known)
        assert (message.native_id, message.answer_to) == (ANN, "")


def test_the_reply_to_of_a_proven_form_is_an_unproven_customer() -> None:
    """Two people behind one form are two customers, and neither is verified: a form accepts any address."""
    for person in ("alice@a.example", "bob@b.example"):
        message = stated(read(reply_to=person), PROVEN)
        assert (message.native_id, message.verified, message.origin.proof) == (person, False, OriginProof.NONE)
        assert (message.origin.author, message.origin.reply_to) == (ANN, person)
        assert "dkim d=shop.example" in message.origin.evidence


def test_an_answer_to_a_reply_to_is_no_acknowledgement() -> None:
    """An acknowledgement goes to the envelope sender only; without a Reply-To nothing forbids it."""
    person = "ann@home.example"
    assert stated(read(reply_to=person), PROVEN).no_auto_reply
    assert stated(read(reply_to=person, token="c-1"), Authenticated()).no_auto_reply
    assert not stated(read(), PROVEN).no_auto_reply
    assert not stated(read(token="c-1"), Authenticated()).no_auto_reply


def test_a_proof_of_another_author_does_not_count() -> None:
    """The verifier and the parser must have read the same mail."""
    message = stated(read(), Authenticated("other@shop.example", OriginProof.DKIM_DMARC, "dkim", True))
    assert message.origin.proof is OriginProof.NONE
    assert not message.verified


def test_a_token_proves_for_its_conversation() -> None:
    message = stated(read(reply_to="ann@home.example", token="c-1"), Authenticated())
    assert (message.origin.proof, message.origin.conversation_id) == (OriginProof.REPLY_TOKEN, "c-1")
    assert (message.native_id, message.answer_to) == (ANN, "")
    assert not message.verified


@pytest.mark.parametrize(("owner", "customer"), [(ANN, ANN), ("ann@home.example", "ann@home.example"), ("bob@b", ANN)])
def test_a_token_says_which_of_two_addresses_is_the_customer(owner: str, customer: str) -> None:
    """The one to whom our mail was sent; if it was neither, the author is a participant."""
    message = stated(read(reply_to="ann@home.example", token="c-1", owner=f"id of {owner}"), Authenticated())
    assert (message.native_id, message.origin.owner) == (customer, f"id of {owner}")


@given(st.text(max_size=200), st.integers(1, 3))
def test_no_header_of_results_breaks_the_reader(text: str, hops: int) -> None:
    results(f"Authentication-Results: mx.example; {text}\r\n" + RECEIVED * 2, hops)


@given(st.text(alphabet="v=1;ad shfrom:.bl\t", max_size=300))
def test_no_signature_header_breaks_the_reader(text: str) -> None:
    headers, _ = split(f"DKIM-Signature: {text}\r\nFrom: {ANN}\r\n\r\nhi".encode())
    candidates(headers, ANN, organisation_of)
