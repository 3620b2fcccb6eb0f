"""The proven sender of a mail, over a real SMTP conversation, with real signatures and a DNS server on loopback."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chapar.ingest.v1 import records_pb2
from tests.fixtures.names import Names, name_server
from tests.fixtures.signed_mail import Signer, a_raw_mail
from tests.integration.ingest.edges.conftest import Edges, configuration, ingest, install
from tests.integration.ingest.edges.test_smtp import send

pytestmark = pytest.mark.kafka
SIGNED, FRONTED = "signed@demo.example", "fronted@demo.example"
EVIL = "evil@attacker.example"


@pytest.fixture(scope="module")
def shop() -> Signer:
    return Signer("shop.example")


@pytest.fixture(scope="module")
def attacker() -> Signer:
    return Signer("attacker.example")


@pytest.fixture
async def names(shop: Signer, attacker: Signer) -> AsyncIterator[Names]:
    async with name_server() as served:
        served.txt[shop.name] = [shop.record]
        served.txt[attacker.name] = [attacker.record]
        yield served


@pytest.fixture
async def proving(
    kafka: Any, prefix: str, tmp_path: Path, names: Names, edge_secrets: dict[str, str]
) -> AsyncIterator[Edges]:
    """Yield an ingest that queries this DNS server and trusts a mail server on loopback."""
    settings = kafka.settings(prefix)
    await install(settings, configuration())
    options = {"mail_dns_servers": names.address, "smtp_upstreams": "127.0.0.0/8", "mail_proof_cpu_s": 1.0}
    async with ingest(settings, tmp_path, **options) as running:
        yield running


async def taken(edges: Edges, raw: bytes, to: str = SIGNED, count: int = 1) -> records_pb2.CustomerMessage:
    assert (await send(edges, raw, to=to))[0] == 250
    return (await edges.inbound(count))[-1].message


async def test_a_signature_of_the_authors_domain_is_a_proof(proving: Edges, shop: Signer) -> None:
    """Over the raw bytes as received, including folded headers."""
    message = await taken(proving, shop.signed(a_raw_mail()))
    assert message.origin.proof == records_pb2.ORIGIN_PROOF_DKIM_DMARC
    assert message.origin.evidence == "dkim d=shop.example"
    assert (message.identity.native_id, message.identity.verified) == ("ann@shop.example", True)


def forgeries(shop: Signer, attacker: Signer) -> dict[str, bytes]:
    good = shop.signed(a_raw_mail())
    return {
        "no signature": a_raw_mail(),
        "another domain's signature": attacker.signed(a_raw_mail()),
        "another text": good.replace(b"hello", b"pay me"),
        "another author": good.replace(b"From: Ann <ann@", b"From: Ann <bob@"),
        "a second From on top": b"From: evil@attacker.example\r\n" + good,
        "a second From below": good.replace(b"To:", b"From: ann@shop.example\r\nTo:"),
        "only the beginning is signed": shop.signed(a_raw_mail(), length=True) + b"and pay me\r\n",
        "a key that is not there": Signer("mail.shop.example").signed(a_raw_mail()),
        "an old hash": shop.signed(a_raw_mail(), signature_algorithm=b"rsa-sha256").replace(b"rsa-sha256", b"rsa-sha1"),
    }


@pytest.mark.parametrize("how", list(forgeries(Signer("shop.example"), Signer("attacker.example"))))
async def test_a_forged_mail_is_taken_and_unproven(proving: Edges, shop: Signer, attacker: Signer, how: str) -> None:
    """It is still answered 250, and the record says why it is unproven."""
    message = await taken(proving, forgeries(shop, attacker)[how])
    assert message.origin.proof == records_pb2.ORIGIN_PROOF_UNSPECIFIED
    assert not message.identity.verified
    assert message.origin.evidence


async def test_a_reply_to_that_was_added_to_a_signed_mail_is_not_believed(proving: Edges, shop: Signer) -> None:
    """A real mail of Ann's, sent again by a stranger with their own Reply-To: it is from Ann, and answers go to Ann."""
    raw = shop.signed(a_raw_mail(), over=(b"from", b"subject")).replace(
        b"To:", b"Reply-To: evil@attacker.example\r\nTo:"
    )
    message = await taken(proving, raw)
    assert message.origin.proof == records_pb2.ORIGIN_PROOF_DKIM_DMARC
    assert message.identity.native_id == "ann@shop.example"
    assert "reply_to" not in message.reply_context
    assert message.origin.reply_to == EVIL


async def test_two_people_behind_one_signed_form_are_two_customers(proving: Edges, shop: Signer) -> None:
    """Each is answered at their own address; neither is verified."""
    people = ("alice@a.example", "bob@b.example")
    for number, person in enumerate(people):
        raw = shop.signed(a_raw_mail("form@shop.example", reply_to=person, number=number))
        assert (await send(proving, raw, to=SIGNED))[0] == 250
    messages = [record.message for record in await proving.inbound(2)]
    assert {each.identity.native_id for each in messages} == set(people)
    assert [(each.identity.verified, each.origin.author) for each in messages] == [(False, "form@shop.example")] * 2


async def test_a_policy_may_require_exactly_the_authors_domain(proving: Edges, names: Names) -> None:
    """DMARC's adkim=s: a parent domain's signature is not enough."""
    parent = Signer("big.example")
    names.txt[parent.name] = [parent.record]
    raw = parent.signed(a_raw_mail("ann@mail.big.example"))
    assert (await taken(proving, raw)).origin.proof == records_pb2.ORIGIN_PROOF_DKIM_DMARC
    names.txt["_dmarc.big.example"] = [b"v=DMARC1; p=reject; adkim=s"]
    assert (await taken(proving, raw, count=2)).origin.proof == records_pb2.ORIGIN_PROOF_UNSPECIFIED


@pytest.mark.parametrize(
    "record", [b"v=DKIM1; p=", b"v=DKIM1; t=y; p=@", b"garbage p=", b"v=DKIM1; k=rsa; p=" + b"A" * 3000]
)
async def test_invalid_keys_prove_nothing(proving: Edges, names: Names, shop: Signer, record: bytes) -> None:
    """Revoked, in test mode, broken, absurd."""
    names.txt[shop.name] = [record.replace(b"@", shop.record.rpartition(b"p=")[2])]
    message = await taken(proving, shop.signed(a_raw_mail()))
    assert message.origin.proof == records_pb2.ORIGIN_PROOF_UNSPECIFIED


async def test_a_silent_name_server_loses_no_mail(proving: Edges, names: Names, shop: Signer) -> None:
    """The mail is accepted, unproven, and the record says that the key could not be looked up."""
    names.silent.add(shop.name)
    message = await taken(proving, shop.signed(a_raw_mail()))
    assert message.origin.proof == records_pb2.ORIGIN_PROOF_UNSPECIFIED
    assert "can't be looked up" in message.origin.evidence


async def test_many_signatures_cost_few_look_ups(proving: Edges, names: Names, shop: Signer) -> None:
    """A mail can't cause many look-ups."""
    line = b"DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=k%d; h=from; b=eA==; bh=eA==\r\n"
    await taken(proving, b"".join(line % n for n in range(60)) + a_raw_mail())
    assert len(names.asked) <= 3


async def test_a_mail_that_is_slow_to_verify_is_cut_off(proving: Edges, shop: Signer) -> None:
    """A long line of spaces: the verifier is ended, the mail is accepted unproven, and the next one is verified."""
    raw = shop.signed(a_raw_mail(), canonicalize=(b"relaxed", b"relaxed")) + b" " * 600_000 + b"x\r\n"
    message = await taken(proving, raw)
    assert message.origin.proof == records_pb2.ORIGIN_PROOF_UNSPECIFIED
    again = await taken(proving, shop.signed(a_raw_mail(number=2)), count=2)
    assert again.origin.proof == records_pb2.ORIGIN_PROOF_DKIM_DMARC


RESULTS = "Authentication-Results: mx.demo.example; dmarc=pass header.from=shop.example\r\n"
RECEIVED = "Received: from shop by mx.demo.example\r\n"


async def test_a_trusted_mail_server_is_believed_and_what_came_with_the_mail_is_not(proving: Edges) -> None:
    message = await taken(proving, a_raw_mail(extra=RESULTS + RECEIVED), FRONTED)
    assert message.origin.proof == records_pb2.ORIGIN_PROOF_TRUSTED_RESULTS
    forged = await taken(proving, a_raw_mail(extra=RECEIVED + RESULTS, number=2), FRONTED, 2)
    assert forged.origin.proof == records_pb2.ORIGIN_PROOF_UNSPECIFIED


@pytest.mark.parametrize("upstreams", ["", "192.0.2.0/24"])
async def test_results_are_believed_from_configured_servers_only(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str], upstreams: str
) -> None:
    """By default from no server."""
    settings = kafka.settings(prefix)
    await install(settings, configuration())
    async with ingest(settings, tmp_path, smtp_upstreams=upstreams) as edges:
        message = await taken(edges, a_raw_mail(extra=RESULTS + RECEIVED), FRONTED)
    assert message.origin.proof == records_pb2.ORIGIN_PROOF_UNSPECIFIED


async def test_by_default_no_proof_is_checked(proving: Edges, shop: Signer, names: Names) -> None:
    """An account without a setting for authentication: no look-ups, no proof."""
    message = await taken(proving, shop.signed(a_raw_mail(extra=RESULTS + RECEIVED)), "support@demo.example")
    assert (message.origin.proof, message.origin.evidence) == (records_pb2.ORIGIN_PROOF_UNSPECIFIED, "not checked")
    assert names.asked == []
