"""Keys of signed webhooks, inbound and outbound: `whsec_` and base64, as Standard Webhooks 1.0 define them, or base64 alone.

Anyone can sign with an empty key and guess a short one, so neither is accepted. This is the only place that makes keys from secrets.
"""

import base64
import binascii
from typing import Final

PREFIX: Final = "whsec_"
MIN_KEY_BYTES: Final = 24
"""The minimum that Standard Webhooks 1.0 allow: 192 bits."""


def key_of(secret: str) -> bytes | None:
    """Return the key in a secret; None if it is not base64, or too short to protect anything."""
    try:
        key = base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) >= MIN_KEY_BYTES else None


def problem_of_secret(secret: str) -> str:
    """Return the problem of a secret and how to fix it, without any part of the secret; empty for none."""
    if key_of(secret) is not None:
        return ""
    return f"is not a webhook secret: it must be {PREFIX} and the base64 of at least {MIN_KEY_BYTES} random bytes"
