"""Signed survey links: `{base}/s/{token}`, the token a JWT (HS256) that only this service makes and reads.

The key is its own, or derived from the installation's secret under a label, and the audience is its own: a token for
the API is not a survey link, and a survey link is not a token for the API. A link contains ids, no names. The holder of
a link may respond once, as with a paper card.
"""

import hashlib
import hmac
from typing import Any, Final

import jwt
from jwt.exceptions import PyJWTError

from services.chassis.clock import Clock
from services.feedback.ports import Ticket
from services.policy.model.surveys import SurveyKind

AUDIENCE: Final = "chapar.survey"
MAX_TOKEN_CHARS: Final = 2048
_LABEL: Final = b"chapar survey links v1"
_CLAIMS: Final = ("ten", "per", "inv", "srv", "knd", "lng")


def link_key(secret: bytes) -> bytes:
    """Return a key for links alone, derived from a secret that others use too."""
    return hmac.new(secret, _LABEL, hashlib.sha256).digest()


class SignedLinks:
    """Implements `ports.Links`."""

    def __init__(self, key: bytes, base_url: str, clock: Clock) -> None:
        self._key = key
        self._base_url = base_url.rstrip("/")
        self._clock = clock

    def url(self, ticket: Ticket) -> str:
        return f"{self._base_url}/s/{self.token(ticket)}"

    def token(self, ticket: Ticket) -> str:
        """Return the last part of the link."""
        claims: dict[str, Any] = {
            "aud": AUDIENCE,
            "ten": ticket.tenant,
            "per": ticket.person_id,
            "inv": ticket.invitation_id,
            "srv": ticket.survey,
            "knd": ticket.kind.value,
            "lng": ticket.language,
            "exp": ticket.expires_at_ms // 1000,
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def read(self, token: str) -> Ticket | None:
        ticket = self._ticket(token)
        return None if ticket is None or ticket.expires_at_ms <= self._clock() else ticket

    def refusal(self, token: str) -> str:
        return "forged" if self._ticket(token) is None else "late"

    def _ticket(self, token: str) -> Ticket | None:
        """Return the signed contents, without regard to the expiry."""
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            return None
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=AUDIENCE,
                # PyJWT would compare with the machine's clock; this service uses its own clock.
                options={"require": ["exp", "aud"], "verify_exp": False},
            )
        except (PyJWTError, ValueError, RecursionError):
            return None
        texts = [claims.get(name) for name in _CLAIMS]
        expires = claims["exp"]
        if not all(isinstance(text, str) for text in texts) or not isinstance(expires, int):
            return None
        if claims["knd"] not in {kind.value for kind in SurveyKind}:
            return None
        return Ticket(
            tenant=claims["ten"],
            person_id=claims["per"],
            invitation_id=claims["inv"],
            survey=claims["srv"],
            kind=SurveyKind(claims["knd"]),
            language=claims["lng"],
            expires_at_ms=expires * 1000,
        )
