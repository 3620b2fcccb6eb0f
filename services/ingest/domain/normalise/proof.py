"""Proofs of origin over the raw bytes. Each function returns whether the proof holds; comparing takes constant time.

An attacker controls the headers: they may contain anything, so nothing here raises for any input.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.policy.model.webhook_keys import key_of

WEBHOOK_TOLERANCE_S = 300
_MAX_HEADER = 4096
_DIGITS = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Unproven:
    """Why a proof does not hold; `reason` is a metric's label."""

    reason: str
    description: str


MISSING = Unproven("SIGNATURE_MISSING", "the proof of origin is missing")
WRONG = Unproven("SIGNATURE_WRONG", "the proof of origin is wrong")


def same(given: str, expected: str) -> bool:
    """Compare two texts of any kind in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def shared_token(given: str | None, secret: str) -> Unproven | None:
    """Check a header that must equal a secret (Telegram)."""
    if not given:
        return MISSING
    return None if same(given, secret) else WRONG


def hub_signature(header: str | None, raw: bytes, app_secret: str) -> Unproven | None:
    """Check Meta's `X-Hub-Signature-256: sha256=<hex>`: HMAC-SHA256 of the body as received."""
    malformed = hub_signature_form(header)
    if malformed is not None or header is None:
        return malformed or MISSING
    expected = hmac.digest(app_secret.encode(), raw, "sha256")
    return None if hmac.compare_digest(bytes.fromhex(header.partition("=")[2]), expected) else WRONG


def hub_signature_form(header: str | None) -> Unproven | None:
    """Check whether the header could prove any body."""
    if not header:
        return MISSING
    name, _, given = header.partition("=")
    return None if name == "sha256" and _HEX.fullmatch(given) else WRONG


def standard_webhook_form(
    message_id: str | None, timestamp: str | None, signatures: str | None, now_s: float
) -> Unproven | None:
    """Check whether the headers could prove any body: all present, well formed, and the time recent."""
    form = _form(message_id, timestamp, signatures, now_s)
    return form if isinstance(form, Unproven) else None


class _Form(NamedTuple):
    """Well-formed headers: the bytes that are signed before the body, and the signatures, at least one."""

    head: bytes
    signatures: list[bytes]


def _form(message_id: str | None, timestamp: str | None, signatures: str | None, now_s: float) -> Unproven | _Form:
    if not message_id or not timestamp or not signatures:
        return MISSING
    if len(message_id) > _MAX_HEADER or len(signatures) > _MAX_HEADER or not _DIGITS.fullmatch(timestamp):
        return WRONG
    if abs(now_s - int(timestamp)) > WEBHOOK_TOLERANCE_S:
        return Unproven("TIMESTAMP_OUTSIDE", "webhook-timestamp is more than five minutes away from now")
    given = [found for found in map(_signature, signatures.split(" ")) if found is not None]
    return _Form(f"{message_id}.{timestamp}.".encode("utf-8", "surrogatepass"), given) if given else WRONG


def standard_webhook(
    message_id: str | None,
    timestamp: str | None,
    signatures: str | None,
    raw: bytes,
    secrets: Sequence[str],
    now_s: float,
) -> Unproven | None:
    """Check Standard Webhooks 1.0: `v1,<base64>` over `id.timestamp.body`, any of several signatures by any of our
    secrets.

    There are several secrets during a rotation. A secret that is not a key (`services.policy.model.webhook_keys`) proves
    nothing.
    """
    form = _form(message_id, timestamp, signatures, now_s)
    if isinstance(form, Unproven):
        return form
    signed = form.head + raw
    proven = False
    for key in filter(None, map(key_of, secrets)):
        expected = hmac.digest(key, signed, "sha256")  # in C at once: half the time of an HMAC object
        for candidate in form.signatures:
            # No early exit: the time taken must not show which of our keys matched.
            proven |= hmac.compare_digest(candidate, expected)
    return None if proven else WRONG


def _signature(item: str) -> bytes | None:
    version, _, text = item.partition(",")
    if version != "v1":
        return None
    try:
        given = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return given if len(given) == hashlib.sha256().digest_size else None


def keyed_hash(secret: str, *parts: str) -> str:
    """Return the hex HMAC-SHA256 over length-prefixed parts, so that two different lists of parts never sign the same
    bytes."""
    name = b"".join(b"%d:%s" % (len(raw), raw) for raw in (part.encode("utf-8", "surrogatepass") for part in parts))
    return hmac.new(secret.encode(), name, hashlib.sha256).hexdigest()


def identifier_hash(secret: str, identifier: str, given: str) -> Unproven | None:
    """Check web chat's signed login: hex HMAC-SHA256(secret, identifier), made by the site's own server."""
    if not given:
        return MISSING
    expected = hmac.new(secret.encode(), identifier.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return None if same(given.lower(), expected) else WRONG
