"""Keys of signed webhooks, inbound and outbound: `whsec_` and base64, as Standard Webhooks 1.0 say, or base64 alone.

An empty key signs for everybody and a short one can be guessed, so neither is a key. There is one place that makes keys of secrets: this one.
"""

import base64
import binascii
from typing import Final

PREFIX: Final = "whsec_"
MIN_KEY_BYTES: Final = 24
"""The least that Standard Webhooks 1.0 allow: 192 bits."""


def key_of(secret: str) -> bytes | None:
    """The key in a secret; None for one that is not base64, or too short to protect anything."""
    try:
        key = base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) >= MIN_KEY_BYTES else None


def problem_of_secret(secret: str) -> str:
    """The problem of a secret and how to put it right, without a word of it; empty for none."""
    if key_of(secret) is not None:
        return ""
    return f"is not a webhook secret: it must be {PREFIX} and the base64 of at least {MIN_KEY_BYTES} random bytes"
