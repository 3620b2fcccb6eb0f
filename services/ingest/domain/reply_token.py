"""Tokens in our own Message-IDs, by which the reply to an e-mail finds its conversation, whatever address it comes
from.

`{conversation_id}.{identity}.{mac}`: the MAC keeps strangers from writing into conversations whose id they learned. It is
short (80 bits), because it is checked online only and mail clients truncate long ids. The identity is the one to which
the mail was sent, without hyphens: its lane has the conversation, also when a colleague answers. Tokens of earlier
versions have no identity.
"""

import hmac
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

_MAC_HEX: Final = 20
_PREFIX: Final = "chapar"
_PARTS: Final = (4, 5)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHORT: Final = re.compile(r"([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class ReplyToken:
    """What one of our Message-IDs names. `identity_id` is empty in an id of an earlier version."""

    conversation_id: str
    identity_id: str = ""


def message_id(conversation_id: str, delivery_id: str, secret: str, domain: str, identity_id: str = "") -> str:
    """Return a Message-ID with angle brackets. The same delivery always has the same one, so that a mail server can
    drop a duplicate. `identity_id`: to whom the mail is sent; an id that is not a UUID is left out."""
    short = identity_id.replace("-", "") if _UUID.fullmatch(identity_id) else ""
    signed = f"{conversation_id}.{short}" if short else conversation_id
    return f"<{_PREFIX}.{signed}.{_mac(signed, secret)}.{delivery_id.replace('-', '')[:12]}@{domain}>"


def token_of(message_id_header: str, secret: str) -> ReplyToken | None:
    """Return what one of our own Message-IDs names; None for any other id, or when the MAC is wrong."""
    local = message_id_header.strip().strip("<>").rpartition("@")[0]
    parts = local.split(".")
    if len(parts) not in _PARTS or parts[0] != _PREFIX:
        return None
    *named, mac, _ = parts[1:]
    if not hmac.compare_digest(mac.encode("utf-8", "replace"), _mac(".".join(named), secret).encode()):
        return None
    identity = _SHORT.fullmatch(named[1]) if len(named) > 1 else None
    return ReplyToken(named[0], "-".join(identity.groups()) if identity is not None else "")


def _mac(signed: str, secret: str) -> str:
    return hmac.new(secret.encode(), signed.encode("utf-8", "replace"), sha256).hexdigest()[:_MAC_HEX]
