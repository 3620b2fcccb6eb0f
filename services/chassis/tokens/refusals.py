"""The errors of this package. No message contains a token, a key or a claim's value."""

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.reasons import Reason

EXPIRED = "the token has expired: get a new one"


def refused(reason: str, message: str, *, retry_after_s: float | None = None) -> ChaparError:
    """Return the error for a token that is not accepted."""
    return ChaparError(ErrorKind.UNAUTHENTICATED, reason, message, retry_after_s=retry_after_s)


def bad_key(message: str) -> ChaparError:
    """Return the error for a key, or a setting that names one, that cannot be used."""
    return ChaparError(ErrorKind.INVALID, Reason.TOKEN_KEY, message)
