"""Signed survey links: `{base}/s/{token}`. Only this service makes and reads the token.

A token is the base64url text of a ticket (`ticket_codec`) and the first 16 bytes of its HMAC-SHA256. Its key is used for
nothing else: it is configured, or derived from the installation's secret under a label. So a token for the API is not a
survey link, and a survey link is not a token for the API. A link contains ids, no names. The holder of a link may respond
once, as with a paper card.

The signature is checked before anything else is read, so only bytes that this service has signed are ever decoded.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from collections.abc import Sequence
from typing import Final

from services.chassis.clock import Clock
from services.feedback.adapters.ticket_codec import pack, unpack
from services.feedback.ports import Ticket

MAX_TOKEN_CHARS: Final = 2048
SIGNATURE_BYTES: Final = 16
_LABEL: Final = b"chapar survey links v1"
# base64url to base64. Characters that no token has become invalid: `binascii` would skip `=` after the last group.
_TO_BASE64: Final = bytes.maketrans(b"-_+/=", b"+/!!!")


def link_key(secret: bytes) -> bytes:
    """Return a key for links alone, derived from a secret that others use too."""
    return hmac.new(secret, _LABEL, hashlib.sha256).digest()


class SignedLinks:
    """Implements `ports.Links`."""

    def __init__(self, key: bytes, base_url: str, clock: Clock, further: Sequence[bytes] = ()) -> None:
        """`key` signs. Links that one of the `further` keys has signed are read too: a key can be replaced without
        refusing a link."""
        self._keys = (key, *further)
        self._base_url = base_url.rstrip("/")
        self._clock = clock

    def url(self, ticket: Ticket) -> str:
        return f"{self._base_url}/s/{self.token(ticket)}"

    def token(self, ticket: Ticket) -> str:
        """Return the last part of the link."""
        body = pack(ticket, SIGNATURE_BYTES)
        return urlsafe_b64encode(body + _signature(self._keys[0], body)).decode()

    def read(self, token: str) -> Ticket | None:
        ticket = self._ticket(token)
        return None if ticket is None or ticket.expires_at_ms <= self._clock() else ticket

    def refusal(self, token: str) -> str:
        return "forged" if self._ticket(token) is None else "late"

    def _ticket(self, token: str) -> Ticket | None:
        """Return the signed contents, without regard to the expiry."""
        if len(token) > MAX_TOKEN_CHARS:
            return None
        try:
            raw = a2b_base64(token.encode("ascii").translate(_TO_BASE64), strict_mode=True)
        except ValueError:
            return None
        body, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        for key in self._keys:
            if hmac.compare_digest(signature, _signature(key, body)):
                return unpack(body)
        return None


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:SIGNATURE_BYTES]
