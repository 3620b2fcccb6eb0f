"""Accounts that point at counterparts on this machine, and parts to send."""

from collections.abc import Mapping
from typing import Any

from services.chassis.clock import system_clock
from services.chassis.metrics import Metrics
from services.chassis.secrets import SecretReferences, env_prefix
from services.cli.local.providers import HttpProvider, MailRelay
from services.ingest.adapters.edges.accounts import AccountSecrets
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.adapters.out.account import SendingAccount
from services.ingest.adapters.out.attached import AttachedFiles
from services.ingest.adapters.out.client import Part
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.domain.messages import Identity, Purpose, Route
from services.ingest.metrics import METRICS
from services.policy.model.intake import AccountPolicy
from tests.fakes.privacy import MemoryKeys

TENANT = "acme"
SECRETS = {
    "BOT": "77:very-secret",
    "TOKEN": "wa-token",
    "REPLY": "reply-secret-of-at-least-32-bytes-long",
    "HOOK": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
VARIABLES = {f"{env_prefix(TENANT)}{name}": value for name, value in SECRETS.items()}


def accounts(provider: HttpProvider, relay: MailRelay | None = None) -> dict[str, AccountPolicy]:
    """Return one account per channel."""
    smtp = relay.url if relay is not None else "smtp://127.0.0.1:9"
    table: tuple[tuple[str, Mapping[str, str], Mapping[str, str]], ...] = (
        ("telegram", {"base_url": provider.url}, {"bot_token": "env:CHAPAR_SECRET_ACME__BOT"}),
        (
            "whatsapp",
            {"base_url": provider.url, "phone_number_id": "100"},
            {"access_token": "env:CHAPAR_SECRET_ACME__TOKEN"},
        ),
        ("webhook", {"reply_url": f"{provider.url}/hook"}, {"signing_secret": "env:CHAPAR_SECRET_ACME__HOOK"}),
        (
            "email",
            {"address": "support@acme.example", "smtp_url": smtp},
            {"reply_token": "env:CHAPAR_SECRET_ACME__REPLY"},
        ),
    )
    return {
        channel: AccountPolicy(
            channel=channel, account="main", settings=settings, secrets=secrets, sends_per_second=1000.0
        )
        for channel, settings, secrets in table
    }


def an_account(policy: AccountPolicy) -> SendingAccount:
    """Return an account with the secrets of these tests."""
    return SendingAccount(TENANT, policy, AccountSecrets(SecretReferences(system_clock, env=VARIABLES)))


def a_part(channel: str, text: str = "سلام", **changes: Any) -> Part:
    """Return one part for a customer of that channel."""
    native = {"telegram": "42", "whatsapp": "989120000000", "email": "sara@mail.example"}.get(channel, "c-1")
    context = {"telegram": {"chat_id": "42"}, "whatsapp": {"to": native}}.get(channel, {})
    route = Route(
        Identity("identity-1", TENANT, channel, "main", native),
        changes.pop("context", context),
        changes.pop("subject", ""),
        0,
    )
    values: dict[str, Any] = {
        "conversation_id": "conversation-1",
        "delivery_id": "0f1e2d3c-0000-5000-8000-000000000001",
        "request_id": "r-1",
        "interaction_id": "i-1",
        "text": text,
        "purpose": Purpose.REPLY,
        "author_id": "sara",
        "route": route,
        "index": 0,
        "now_ms": 1_700_000_000_000,
    }
    return Part(**{**values, **changes})


def no_files() -> AttachedFiles:
    """Return the files of replies that have none."""
    metrics = Metrics(METRICS)
    return AttachedFiles(SealedFiles(file_store("memory:///", "", metrics), MemoryKeys(), FilePolicy()))
