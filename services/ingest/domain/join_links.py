"""A link by which a customer continues on another channel: it joins the identities by proof from both sides.

    CreateJoinLink ──offer──▶ lane of the first identity (its home keeps the digest)
    customer ──the text──▶ other channel ──claim──▶ the same home: compares ──▶ the usual link of identities

Who sends the text has seen it, and it was shown only to the first identity. The text has the first identity's id and a secret of 128
bits. The log and the state have only the secret's digest. A link works once, until it expires, and for five claims at most: a wrong
claim uses up one. Only one link of a person is open; a newer one ends it.
"""

import base64
import hmac
import re
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from services.ingest.domain import effects, shared_preferences
from services.ingest.domain.conversations import Customer, OpenJoin
from services.ingest.domain.decisions import IntakeDecision, Refused
from services.ingest.domain.messages import Message
from services.ingest.domain.reasons import Reason

SECRET_BYTES: Final = 16
MOST_TRIES: Final = 5
_ID_BYTES: Final = 16
_TEXT: Final = re.compile(r"(?:/start(?:@\w{1,64})? )?chapar-([A-Za-z0-9_-]{43})")
_MOST_CHARS: Final = 130


@dataclass(frozen=True, slots=True)
class JoinOffer:
    """A link was made."""

    request_id: str
    digest: bytes
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class JoinClaim:
    """Another identity has sent the text of a link."""

    claimant_id: str
    digest: bytes
    message_id: str


def link_text(identity_id: str, secret: bytes) -> str:
    """Return the text of a link: 50 characters, which every channel passes on unchanged. Raises ValueError for an id that is not
    a UUID."""
    plain = identity_id.replace("-", "")
    if len(plain) != 2 * _ID_BYTES or not plain.isalnum():
        raise ValueError("not a UUID")
    whole = bytes.fromhex(plain) + secret
    return "chapar-" + base64.urlsafe_b64encode(whole).rstrip(b"=").decode()


def digest_of(secret: bytes) -> bytes:
    """Return the digest of a link's secret."""
    return sha256(secret).digest()


def claimed(text: str) -> tuple[str, bytes] | None:
    """Return the identity and the digest that a text claims; None when the text is not that of a link."""
    text = text.strip() if len(text) <= _MOST_CHARS else ""
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    whole = base64.urlsafe_b64decode(found[1] + "=")
    return _identity(whole[:_ID_BYTES]), digest_of(whole[_ID_BYTES:])


def _identity(id_bytes: bytes) -> str:
    digits = id_bytes.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def claim_of(customer: Customer, message: Message) -> effects.JoinClaimed | None:
    """Return the claim in a message; None for every other message. An unproven message claims nothing, because its sender may be
    forged, and neither does a message that others can read."""
    if not message.opens or not message.by_person or message.labels.get("public") == "true":
        return None
    if not message.origin.proven(""):
        return None
    found = claimed(message.text)
    if found is None or found[0] == customer.key:
        return None
    return effects.JoinClaimed(found[0], customer.key, found[1], message.message_id)


def offer(customer: Customer | None, asked: JoinOffer) -> IntakeDecision | Refused:
    """Keep a link under the key of the person's home."""
    if customer is None:
        return Refused(Reason.UNKNOWN_IDENTITY, "no message from this identity is in memory")
    if customer.home:
        return IntakeDecision(customer, (effects.Forwarded(customer.home),), note="FORWARDED")
    opened = OpenJoin(asked.digest, asked.expires_at_ms, MOST_TRIES)
    return IntakeDecision(replace(customer, join=opened), note="JOIN_OFFERED")


def claim(customer: Customer | None, asked: JoinClaim, now_ms: int) -> IntakeDecision | Refused:
    """Compare a claim with the open link, and link the claimant to this person."""
    if customer is None:
        return IntakeDecision(None, note="JOIN_REFUSED")
    if customer.home:
        return IntakeDecision(customer, (effects.Forwarded(customer.home),), note="FORWARDED")
    known = customer.join
    if known is None or now_ms >= known.expires_at_ms:
        return IntakeDecision(replace(customer, join=None), note="JOIN_REFUSED")
    if not hmac.compare_digest(known.digest, asked.digest):
        left = replace(known, tries=known.tries - 1) if known.tries > 1 else None
        return IntakeDecision(replace(customer, join=left), note="JOIN_REFUSED")
    joined = replace(customer, join=None)
    if asked.claimant_id == customer.key:
        return IntakeDecision(joined, note="JOINED")
    return shared_preferences.joined(joined, asked.claimant_id, asked.message_id)
