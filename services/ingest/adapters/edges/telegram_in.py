"""Telegram's webhook. Secret: `webhook_secret`, as given to setWebhook's `secret_token`."""

from collections.abc import Mapping

from services.ingest.adapters.edges.required_secrets import require_secret
from services.ingest.domain.normalise.message import Parsed
from services.ingest.domain.normalise.proof import Unproven, shared_token
from services.ingest.domain.normalise.telegram import parse_update
from services.ingest.ports import Account, Secrets
from services.policy.model.groups import GroupPolicy


class TelegramChannel:
    """See `http_webhooks.Channel`."""

    name = "telegram"
    is_provider = True

    def plausible(
        self, account: Account, secrets: Secrets, headers: Mapping[str, str], now_s: float
    ) -> Unproven | None:
        """Check the whole proof: it does not depend on the body."""
        return self.prove(account, secrets, headers, b"", now_s)

    def prove(
        self, account: Account, secrets: Secrets, headers: Mapping[str, str], raw: bytes, now_s: float
    ) -> Unproven | None:
        """Check that the header equals the secret."""
        return shared_token(
            headers.get("x-telegram-bot-api-secret-token"), require_secret(secrets, account, "webhook_secret")
        )

    def parse(self, account: Account, raw: bytes) -> Parsed:
        """Parse one update."""
        return parse_update(raw, GroupPolicy.of(account.settings))

    def handshake(self, account: Account, secrets: Secrets, query: Mapping[str, str]) -> str | Unproven | None:
        """Return None: Telegram has no handshake."""
        return None
