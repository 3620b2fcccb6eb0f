"""The generic signed webhook (Standard Webhooks). Secrets: `signing_secret`, and `signing_secret_previous` during a rotation."""

from collections.abc import Mapping

from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.edges.required_secrets import require_secret
from services.ingest.domain.normalise.message import Parsed
from services.ingest.domain.normalise.proof import Unproven, standard_webhook, standard_webhook_form
from services.ingest.domain.normalise.webhook import parse_call
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Account, Secrets
from services.policy.model.webhook_keys import problem_of_secret


class WebhookChannel:
    """See `http_webhooks.Channel`."""

    name = "webhook"
    is_provider = False

    def plausible(
        self, account: Account, secrets: Secrets, headers: Mapping[str, str], now_s: float
    ) -> Unproven | None:
        """Check that id, time and a signature are present and well formed."""
        return standard_webhook_form(
            headers.get("webhook-id"), headers.get("webhook-timestamp"), headers.get("webhook-signature"), now_s
        )

    def prove(
        self, account: Account, secrets: Secrets, headers: Mapping[str, str], raw: bytes, now_s: float
    ) -> Unproven | None:
        """Accept any of several signatures by any of our secrets, within five minutes."""
        keys = [_usable(account, require_secret(secrets, account, "signing_secret"))]
        previous = secrets.get(account, "signing_secret_previous")
        if previous is not None:
            keys.append(previous)
        return standard_webhook(
            headers.get("webhook-id"),
            headers.get("webhook-timestamp"),
            headers.get("webhook-signature"),
            raw,
            keys,
            now_s,
        )

    def parse(self, account: Account, raw: bytes) -> Parsed:
        """Parse the one message of a call."""
        return parse_call(raw)

    def handshake(self, account: Account, secrets: Secrets, query: Mapping[str, str]) -> str | Unproven | None:
        """Return None: callers need no handshake."""
        return None


def _usable(account: Account, secret: str) -> str:
    """Return the secret. Raises UNAVAILABLE if it is not a key.

    Such a secret must not prove anything; callers keep their messages until the operator has fixed it.
    """
    problem = problem_of_secret(secret)
    if problem:
        raise ChaparError(
            ErrorKind.UNAVAILABLE,
            Reason.SECRET_UNUSABLE,
            f"the signing secret of webhook account {account.account} {problem}",
            retry_after_s=60,
        )
    return secret
