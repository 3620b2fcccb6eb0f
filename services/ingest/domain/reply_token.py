"""Tokens in our own Message-IDs, by which the reply to an e-mail finds its conversation, whatever address it comes
from.

`{conversation_id}.{mac}`: the MAC keeps strangers from writing into conversations whose id they learned. It is short
(80 bits), because it is checked online only and mail clients truncate long ids.
"""

import hmac
from hashlib import sha256
from typing import Final

_MAC_HEX: Final = 20
_PREFIX: Final = "chapar"


def reply_token(conversation_id: str, secret: str) -> str:
    """Return the token of a conversation."""
    return f"{conversation_id}.{_mac(conversation_id, secret)}"


def message_id(conversation_id: str, delivery_id: str, secret: str, domain: str) -> str:
    """Return a Message-ID with angle brackets. The same delivery always has the same one, so that a mail server can
    drop a duplicate."""
    return f"<{_PREFIX}.{reply_token(conversation_id, secret)}.{delivery_id.replace('-', '')[:12]}@{domain}>"


def conversation_of(message_id_header: str, secret: str) -> str | None:
    """Return the conversation that one of our own Message-IDs names; None for any other id, or when the MAC is wrong."""
    local = message_id_header.strip().strip("<>").rpartition("@")[0]
    parts = local.split(".")
    if len(parts) != 4 or parts[0] != _PREFIX:
        return None
    _, conversation_id, mac, _ = parts
    if not hmac.compare_digest(mac.encode("utf-8", "replace"), _mac(conversation_id, secret).encode()):
        return None
    return conversation_id


def _mac(conversation_id: str, secret: str) -> str:
    return hmac.new(secret.encode(), conversation_id.encode("utf-8", "replace"), sha256).hexdigest()[:_MAC_HEX]
