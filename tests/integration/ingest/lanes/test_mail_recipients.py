"""To whom a mail is sent, in the words of SMTP, to a real mail server."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.chassis.destinations import DEVELOPMENT
from services.cli.local.providers import HttpProvider, MailRelay, Received, Refuse
from services.ingest.adapters.out.account import SendingAccount
from services.ingest.adapters.out.email_out import EmailClient
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.retry_classes import PartResult
from tests.integration.ingest.lanes.builders import a_part, accounts, an_account

SARA, CARL, EVE = "sara@mail.example", "carl@mail.example", "eve@mail.example"
OURS = "support@acme.example"


@pytest.fixture
async def relay() -> AsyncIterator[MailRelay]:
    """Yield a mail server."""
    async with MailRelay() as server:
        yield server


async def mailbox(relay: MailRelay, **settings: str) -> SendingAccount:
    async with HttpProvider() as provider:
        policy = accounts(provider, relay)["email"]
    return an_account(replace(policy, settings={**policy.settings, **settings}))


async def sent(relay: MailRelay, part: Mapping[str, Any], **settings: str) -> PartResult:
    return await EmailClient(DEVELOPMENT).send(a_part("email", **part), await mailbox(relay, **settings))


async def arrived(relay: MailRelay) -> tuple[Received, list[str]]:
    (mail,) = await relay.arrived(1)
    return mail, mail.details["envelope-recipients"].split(", ")


async def test_by_default_a_mail_goes_to_the_customer_alone(relay: MailRelay) -> None:
    assert (await sent(relay, {})).outcome is Outcome.ACCEPTED
    mail, envelope = await arrived(relay)
    assert envelope == [SARA]
    assert (mail.details["to"], mail.details.get("cc")) == (SARA, None)


async def test_copies_go_to_the_chosen_addresses(relay: MailRelay) -> None:
    """They are in the header, so that each recipient sees the others; each address once."""
    assert (await sent(relay, {"cc": (CARL, EVE, SARA.upper())})).outcome is Outcome.ACCEPTED
    mail, envelope = await arrived(relay)
    assert envelope == [SARA, CARL, EVE]
    assert (mail.details["to"], mail.details["cc"]) == (SARA, f"{CARL}, {EVE}")


async def test_another_recipient_replaces_the_customer(relay: MailRelay) -> None:
    assert (await sent(relay, {"to": (CARL,)})).outcome is Outcome.ACCEPTED
    mail, envelope = await arrived(relay)
    assert (envelope, mail.details["to"]) == ([CARL], CARL)


async def test_we_never_write_to_ourselves(relay: MailRelay) -> None:
    """Not in a copy, not under a plus-tag; and a mail without another recipient is not sent."""
    assert (await sent(relay, {"cc": (OURS, "Support+12@acme.example", CARL)})).outcome is Outcome.ACCEPTED
    _, envelope = await arrived(relay)
    assert envelope == [SARA, CARL]
    for to in ((OURS,), ()):
        part = a_part("email", to=to)
        if not to:
            route = replace(part.route, identity=replace(part.route.identity, native_id=OURS))
            part = replace(part, route=route)
        result = await EmailClient(DEVELOPMENT).send(part, await mailbox(relay))
        assert (result.outcome, result.reason) == (Outcome.REJECTED, "OWN_ADDRESS")
    assert relay.requests == 1


async def test_an_account_may_allow_the_customers_address_only(relay: MailRelay) -> None:
    for part in ({"cc": (CARL,)}, {"to": (CARL,)}, {"to": (SARA, CARL)}):
        result = await sent(relay, part, recipients="customer")
        assert (result.outcome, result.reason) == (Outcome.REJECTED, "RECIPIENTS_NOT_ALLOWED")
    assert relay.requests == 0
    assert (await sent(relay, {"to": (SARA,)}, recipients="customer")).outcome is Outcome.ACCEPTED


async def test_a_mail_goes_to_all_of_its_recipients_or_to_none(relay: MailRelay) -> None:
    relay.next(Refuse(550, phase="recipient"))
    result = await sent(relay, {"cc": (CARL,)})
    assert (result.outcome, result.reason) == (Outcome.UNREACHABLE, "SMTP_550")
    assert relay.requests == 1


@pytest.mark.parametrize("address", ["نام@mail.example", "a b@mail.example", "nobody", "x@y\r\nRCPT TO:<z@y>"])
async def test_an_address_that_can_not_be_sent_to_stops_the_mail(address: str, relay: MailRelay) -> None:
    """Nothing of it reaches the server; no address can add a header or a command."""
    assert (await sent(relay, {"cc": (address,)})).outcome is Outcome.REJECTED
    assert relay.requests == 0
