"""Reads a secret without which an account can't work."""

from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Account, Secrets


def require_secret(secrets: Secrets, account: Account, name: str) -> str:
    """Return the secret. Raises UNAVAILABLE: a provider keeps its messages until the operator has fixed the configuration."""
    secret = secrets.get(account, name)
    if secret is None:
        raise ChaparError(
            ErrorKind.UNAVAILABLE,
            Reason.SECRET_MISSING,
            f"{account.channel} account {account.account} has no secret named {name} in its configuration",
            retry_after_s=60,
        )
    return secret
