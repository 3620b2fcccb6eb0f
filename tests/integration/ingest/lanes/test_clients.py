"""The providers' clients against servers that behave, and misbehave, like the providers."""

import base64
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest

from services.chassis.clock import system_clock
from services.chassis.destinations import DEVELOPMENT, PUBLIC
from services.chassis.errors import ChaparError
from services.chassis.outgoing import Outgoing
from services.chassis.secrets import SecretReferences
from services.cli.local.providers import Behaviour, Cut, Hang, HttpProvider, MailRelay, Refuse
from services.ingest.adapters.edges.accounts import AccountSecrets
from services.ingest.adapters.out.account import SendingAccount, Unconfigured
from services.ingest.adapters.out.client import ChannelClient
from services.ingest.adapters.out.email_out import EmailClient
from services.ingest.adapters.out.http import provider_client
from services.ingest.adapters.out.telegram import TelegramClient
from services.ingest.adapters.out.webhook_out import WebhookClient
from services.ingest.adapters.out.whatsapp import WhatsAppClient
from services.ingest.domain import reply_token
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.messages import Purpose, TemplateUse
from services.policy.model.intake import AccountPolicy
from tests.integration.ingest.lanes.builders import SECRETS, VARIABLES, a_part, accounts, an_account


@pytest.fixture
async def provider() -> AsyncIterator[HttpProvider]:
    """Yield Telegram, WhatsApp and a webhook's receiver."""
    async with HttpProvider() as server:
        yield server


@pytest.fixture
async def relay() -> AsyncIterator[MailRelay]:
    """Yield a mail server."""
    async with MailRelay() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[Outgoing]:
    """Yield the clients' connections, with short time-outs."""
    async with provider_client(DEVELOPMENT, timeout_s=0.5, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
        yield client


def clients(http: Outgoing) -> dict[str, ChannelClient]:
    """Return one client per channel."""
    return {
        "telegram": TelegramClient(http),
        "whatsapp": WhatsAppClient(http),
        "webhook": WebhookClient(http),
        "email": EmailClient(DEVELOPMENT, timeout_s=0.5),
    }


@pytest.mark.parametrize("channel", ["telegram", "whatsapp", "webhook"])
async def test_a_message_arrives_whole(channel: str, provider: HttpProvider, http: Outgoing) -> None:
    """Persian, emoji and all, to the right recipient, and the provider's id comes back."""
    part = a_part(channel, "سلام، «پاسخ» شما 🌟")
    result = await clients(http)[channel].send(part, an_account(accounts(provider)[channel]))
    (message,) = await provider.arrived(1)
    assert result.outcome is Outcome.ACCEPTED
    assert message.text == "سلام، «پاسخ» شما 🌟"
    assert message.recipient == clients(http)[channel].recipient(part.route)[0]
    if channel != "webhook":
        assert result.native_id == message.native_id


async def test_whatsapp_takes_a_template_outside_the_window(provider: HttpProvider, http: Outgoing) -> None:
    """A text is refused there, and the refusal has the reason that the core uses itself."""
    client, account = clients(http)["whatsapp"], an_account(accounts(provider)["whatsapp"])
    part = a_part("whatsapp", "your order is ready")
    provider.windows_closed.add(client.recipient(part.route)[0])
    refused = await client.send(part, account)
    assert (refused.outcome, refused.reason) == (Outcome.REJECTED, "OUTSIDE_WINDOW")
    use = TemplateUse(name="order_ready", language="fa", parameters=("۱۲", "today"))
    assert (await client.send(replace(part, template=use), account)).outcome is Outcome.ACCEPTED
    (message,) = await provider.arrived(1)
    assert (message.details["type"], message.text) == ("template", "۱۲ today")
    assert message.details["template"]["language"] == {"code": "fa"}
    plain = TemplateUse(name="hello", language="en_US")
    await client.send(replace(part, template=plain), account)
    assert "components" not in (await provider.arrived(2))[-1].details["template"]


@pytest.mark.parametrize(
    ("channel", "context", "sent"),
    [
        ("telegram", {"chat_id": "42", "business_connection_id": "bc"}, {"business_connection_id": "bc"}),
        ("telegram", {"chat_id": "42"}, {"business_connection_id": None}),
        ("whatsapp", {"to": "g1", "recipient_type": "group"}, {"recipient_type": "group", "to": "g1"}),
        ("whatsapp", {"to": "98912"}, {"recipient_type": "individual"}),
    ],
)
async def test_an_answer_goes_where_the_customer_wrote(
    channel: str, context: dict[str, str], sent: dict[str, str | None], provider: HttpProvider, http: Outgoing
) -> None:
    """In the chat of a business account, or in a group of WhatsApp."""
    part = a_part(channel, context=context)
    result = await clients(http)[channel].send(part, an_account(accounts(provider)[channel]))
    (message,) = await provider.arrived(1)
    connection = context.get("business_connection_id", "")
    assert result.native_id == (f"{connection}:{message.native_id}" if connection else message.native_id)
    assert {name: message.details.get(name) for name in sent} == sent


@pytest.mark.parametrize(
    ("channel", "behaviour", "outcome", "reason"),
    [
        ("telegram", Refuse(429, {"ok": False, "parameters": {"retry_after": 7}}), Outcome.RETRY, "HTTP_429"),
        ("telegram", Refuse(403, {"ok": False}), Outcome.UNREACHABLE, "BLOCKED_BY_USER"),
        ("telegram", Refuse(400, {"ok": False}), Outcome.REJECTED, "HTTP_400"),
        ("telegram", Refuse(401, {"ok": False}), Outcome.HALTED, "HTTP_401"),
        ("telegram", Refuse(502, {}), Outcome.RETRY, "HTTP_502"),
        ("telegram", Refuse(400, {"parameters": {"migrate_to_chat_id": -100}}), Outcome.RETRY, "CHAT_MIGRATED"),
        ("telegram", Refuse(200, {"ok": False}), Outcome.UNKNOWN, "UNREADABLE_ANSWER"),
        ("telegram", Cut(taken=True), Outcome.UNKNOWN, "CONNECTION_CUT"),
        ("telegram", Cut(taken=False), Outcome.UNKNOWN, "CONNECTION_CUT"),
        ("telegram", Hang(taken=True), Outcome.UNKNOWN, "TIMEOUT"),
        ("whatsapp", Refuse(400, {"error": {"code": 131047}}), Outcome.REJECTED, "OUTSIDE_WINDOW"),
        ("whatsapp", Refuse(400, {"error": {"code": 131056}}), Outcome.RETRY, "WHATSAPP_131056"),
        ("whatsapp", Refuse(400, {"error": {"code": 131026}}), Outcome.UNREACHABLE, "WHATSAPP_131026"),
        ("whatsapp", Refuse(401, {"error": {"code": 190}}), Outcome.HALTED, "WHATSAPP_190"),
        ("whatsapp", Refuse(503, {}), Outcome.RETRY, "HTTP_503"),
        ("whatsapp", Hang(taken=False), Outcome.UNKNOWN, "TIMEOUT"),
        ("webhook", Refuse(302, {}, {"location": "http://127.0.0.1:1/"}), Outcome.HALTED, "HTTP_302"),
        ("webhook", Refuse(503, {}, {"retry-after": "3"}), Outcome.RETRY, "HTTP_503"),
    ],
)
async def test_each_answer_has_its_outcome(
    channel: str,
    behaviour: Behaviour,
    outcome: Outcome,
    reason: str,
    provider: HttpProvider,
    http: Outgoing,
) -> None:
    """Each way in which a provider refuses, is silent or cuts the connection has its own result."""
    provider.next(behaviour)
    result = await clients(http)[channel].send(a_part(channel), an_account(accounts(provider)[channel]))
    assert (result.outcome, result.reason) == (outcome, reason)
    if reason == "HTTP_429":
        assert result.retry_after_ms == 7_000
    if reason == "HTTP_503" and channel == "webhook":
        assert result.retry_after_ms == 3_000


async def test_a_refused_connection_is_a_retry(http: Outgoing) -> None:
    """A connection that was never made has sent nothing."""
    async with HttpProvider() as gone:
        policies = accounts(gone)
    for channel in ("telegram", "email"):
        result = await clients(http)[channel].send(a_part(channel), an_account(policies[channel]))
        assert (result.outcome, result.reason) == (Outcome.RETRY, "NO_CONNECTION")


async def test_a_missing_secret_halts_the_account(provider: HttpProvider, http: Outgoing) -> None:
    """And no message is sent."""
    bare = AccountPolicy(channel="telegram", account="main", settings={"base_url": provider.url})
    with pytest.raises(Unconfigured) as missing:
        await clients(http)["telegram"].send(a_part("telegram"), an_account(bare))
    assert missing.value.reason == "NO_BOT_TOKEN"
    assert provider.requests == 0


async def test_an_address_may_be_a_reference(provider: HttpProvider, http: Outgoing) -> None:
    """A running installation knows the address, a configuration file does not; an unreadable reference halts the
    account, with its reason."""
    policy = AccountPolicy(
        channel="telegram",
        account="main",
        settings={"base_url": "env:CHAPAR_SECRET_ACME__URL"},
        secrets={"bot_token": "env:CHAPAR_SECRET_ACME__BOT"},
    )
    known = SendingAccount(
        "acme",
        policy,
        AccountSecrets(SecretReferences(system_clock, env={**VARIABLES, "CHAPAR_SECRET_ACME__URL": provider.url})),
    )
    result = await clients(http)["telegram"].send(a_part("telegram"), known)
    assert result.outcome is Outcome.ACCEPTED
    with pytest.raises(ChaparError) as unreadable:
        await clients(http)["telegram"].send(a_part("telegram"), an_account(policy))
    assert unreadable.value.reason == "SECRET_UNREADABLE"


async def test_a_webhook_reply_is_signed(provider: HttpProvider, http: Outgoing) -> None:
    """By the Standard Webhooks specification, over exactly the sent bytes."""
    part = a_part("webhook")
    await clients(http)["webhook"].send(part, an_account(accounts(provider)["webhook"]))
    (message,) = await provider.arrived(1)
    assert message.details["message_id"] == part.delivery_id
    key = base64.b64decode(SECRETS["HOOK"].removeprefix("whsec_"))
    signed = f"{part.delivery_id}.1700000000.".encode() + msgspec.json.encode(message.details)
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert provider.last_headers["webhook-signature"] == f"v1,{expected}"


async def test_a_mail_is_threaded_and_names_its_conversation(provider: HttpProvider, relay: MailRelay) -> None:
    """In-Reply-To, References, Re:, and a Message-ID whose token leads back and can't be forged."""
    context = {"message_id": "<b@mail.example>", "references": "<a@mail.example>"}
    part = a_part("email", "سلام\nپاسخ شما", context=context, subject="پرسش\nدربارهٔ سفارش")
    result = await EmailClient(DEVELOPMENT).send(part, an_account(accounts(provider, relay)["email"]))
    (mail,) = await relay.arrived(1)
    assert result.outcome is Outcome.ACCEPTED
    assert mail.text.replace("\r\n", "\n").strip() == "سلام\nپاسخ شما"
    assert mail.details["in-reply-to"] == "<b@mail.example>"
    assert mail.details["references"].split() == ["<a@mail.example>", "<b@mail.example>"]
    assert mail.details["subject"] == "Re: پرسش دربارهٔ سفارش"
    assert mail.account == "support@acme.example"
    assert "auto-submitted" not in mail.details
    token = reply_token.token_of(result.native_id, SECRETS["REPLY"])
    assert token is not None
    assert token.conversation_id == "conversation-1"
    assert reply_token.token_of(result.native_id, "another") is None
    assert reply_token.token_of(result.native_id.replace("conversation-1", "conversation-2"), SECRETS["REPLY"]) is None


async def test_an_acknowledgement_by_mail_causes_no_automatic_answer(provider: HttpProvider, relay: MailRelay) -> None:
    """Null envelope sender and Auto-Submitted: auto-replied."""
    part = a_part("email", purpose=Purpose.ACKNOWLEDGEMENT)
    await EmailClient(DEVELOPMENT).send(part, an_account(accounts(provider, relay)["email"]))
    (mail,) = await relay.arrived(1)
    assert mail.account == ""
    assert mail.details["auto-submitted"] == "auto-replied"


@pytest.mark.parametrize(
    ("behaviour", "outcome", "reason"),
    [
        (Refuse(451), Outcome.RETRY, "SMTP_451"),
        (Refuse(554), Outcome.REJECTED, "SMTP_554"),
        (Refuse(550, phase="recipient"), Outcome.UNREACHABLE, "SMTP_550"),
        (Refuse(450, phase="recipient"), Outcome.RETRY, "SMTP_450"),
        (Refuse(553, phase="sender"), Outcome.HALTED, "SMTP_553"),
        (Cut(taken=True), Outcome.UNKNOWN, "CONNECTION_CUT"),
        (Hang(taken=True), Outcome.UNKNOWN, "TIMEOUT"),
    ],
)
async def test_each_mail_servers_answer_has_its_outcome(
    behaviour: Behaviour, outcome: Outcome, reason: str, provider: HttpProvider, relay: MailRelay
) -> None:
    """By phase: a refused sender is the account's problem, a refused recipient the customer's."""
    relay.next(behaviour)
    account = an_account(accounts(provider, relay)["email"])
    result = await EmailClient(DEVELOPMENT, timeout_s=0.5).send(a_part("email"), account)
    assert (result.outcome, result.reason) == (outcome, reason)


@pytest.mark.parametrize("address", ["نام@mail.example", "a b@mail.example", "nobody", "x@y\r\nRCPT TO:<z@y>"])
async def test_an_address_that_can_not_be_sent_to_is_rejected(
    address: str, provider: HttpProvider, relay: MailRelay
) -> None:
    """Nothing of the message reaches the server."""
    part = a_part("email", context={"reply_to": address})
    result = await EmailClient(DEVELOPMENT).send(part, an_account(accounts(provider, relay)["email"]))
    assert result.outcome is Outcome.REJECTED
    assert relay.requests == 0


async def test_a_relay_inside_is_refused_with_a_reason(provider: HttpProvider, relay: MailRelay) -> None:
    """By name, by address and in other notations; no connection is made and no exception is raised."""
    for host in (
        "127.0.0.1",
        "localhost",
        "[::1]",
        "2130706433",
        "relay.internal",
        "169.254.169.254",
        "mail.example.com.",
    ):
        policy = replace(
            accounts(provider, relay)["email"],
            settings={"address": "support@demo.example", "smtp_url": f"smtp://{host}:25"},
        )
        result = await EmailClient(PUBLIC, timeout_s=2).send(a_part("email"), an_account(policy))
        assert (result.outcome, result.reason) == (Outcome.HALTED, "RELAY_REFUSED"), host
