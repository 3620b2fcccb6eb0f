"""WhatsApp Cloud API's webhook. Secrets: `app_secret` signs calls, `verify_token` answers the handshake."""

from collections.abc import Mapping

from services.ingest.adapters.edges.required_secrets import require_secret
from services.ingest.domain.normalise.message import Parsed
from services.ingest.domain.normalise.proof import WRONG, Unproven, hub_signature, hub_signature_form, same
from services.ingest.domain.normalise.whatsapp import parse_notification
from services.ingest.ports import Account, Secrets
from services.policy.model.groups import GroupPolicy

_MAX_CHALLENGE = 512


class WhatsAppChannel:
    """See `http_webhooks.Channel`."""

    name = "whatsapp"
    is_provider = True

    def plausible(
        self, account: Account, secrets: Secrets, headers: Mapping[str, str], now_s: float
    ) -> Unproven | None:
        """Check that there is a signature."""
        return hub_signature_form(headers.get("x-hub-signature-256"))

    def prove(
        self, account: Account, secrets: Secrets, headers: Mapping[str, str], raw: bytes, now_s: float
    ) -> Unproven | None:
        """Check the HMAC of the body as received: its escaped Unicode is part of the signed bytes."""
        return hub_signature(headers.get("x-hub-signature-256"), raw, require_secret(secrets, account, "app_secret"))

    def parse(self, account: Account, raw: bytes) -> Parsed:
        """Parse all messages of a notification."""
        return parse_notification(raw, account.settings.get("phone_number_id", ""), GroupPolicy.of(account.settings))

    def handshake(self, account: Account, secrets: Secrets, query: Mapping[str, str]) -> str | Unproven | None:
        """Return the challenge to a caller who knows the verify token."""
        challenge = query.get("hub.challenge", "")
        if query.get("hub.mode") != "subscribe" or not challenge or len(challenge) > _MAX_CHALLENGE:
            return WRONG
        return (
            challenge
            if same(query.get("hub.verify_token", ""), require_secret(secrets, account, "verify_token"))
            else WRONG
        )
