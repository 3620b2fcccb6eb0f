"""The bytes of a survey link's ticket, without its signature.

    version (1) | kind (1) | expiry in seconds since the epoch (5) | tenant | person | invitation | survey | language | padding

A text is its length in UTF-8 bytes (1) and the bytes. Two lengths have a meaning of their own: 255 for a canonical UUID,
which takes 16 bytes, and 254 for a text of 254 bytes or more, whose length follows in 3 bytes. The padding makes the
signed token a multiple of three bytes: in base64 it then has no spare bits, and each token has one spelling.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.feedback.ports import Ticket
from services.policy.model.surveys import SurveyKind

VERSION: Final = 1
_KINDS: Final[Mapping[int, SurveyKind]] = MappingProxyType(
    {1: SurveyKind.CSAT, 2: SurveyKind.NPS, 3: SurveyKind.CES, 4: SurveyKind.TEXT}
)
"""Never renumber a kind: links that customers have contain these numbers."""
_NUMBERS: Final = {kind: number for number, kind in _KINDS.items()}
_TEXTS: Final = 7
"""Where the texts begin."""
_LATEST: Final = (1 << 40) - 1
_UUID: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID_MARK: Final = 255
_LONG_MARK: Final = 254


def pack(ticket: Ticket, signature_bytes: int) -> bytes:
    """Return the ticket's bytes, padded for a signature of this length. The expiry loses its milliseconds."""
    body = bytearray((VERSION, _NUMBERS[ticket.kind]))
    body += min(max(ticket.expires_at_ms // 1000, 0), _LATEST).to_bytes(5, "big")
    for text in (ticket.tenant, ticket.person_id, ticket.invitation_id, ticket.survey, ticket.language):
        body += _packed(text)
    body += bytes(-(len(body) + signature_bytes) % 3)
    return bytes(body)


def unpack(body: bytes) -> Ticket | None:
    """Return the ticket; None for bytes that are not one, or have another version."""
    if len(body) < _TEXTS or body[0] != VERSION or body[1] not in _KINDS:
        return None
    texts: list[str] = []
    at = _TEXTS
    try:
        for _ in range(5):
            size = body[at]
            at += 1
            if size == _UUID_MARK:
                digits = body[at : at + 16].hex()
                texts.append(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")
                at += 16
                continue
            if size == _LONG_MARK:
                size = int.from_bytes(body[at : at + 3], "big")
                at += 3
            texts.append(body[at : at + size].decode("utf-8", "surrogatepass"))
            at += size
    except (IndexError, UnicodeDecodeError):
        return None
    if at > len(body):
        return None
    tenant, person_id, invitation_id, survey, language = texts
    expires_at_ms = int.from_bytes(body[2:_TEXTS], "big") * 1000
    return Ticket(tenant, person_id, invitation_id, survey, _KINDS[body[1]], language, expires_at_ms)


def _packed(text: str) -> bytes:
    if _UUID.fullmatch(text):
        return bytes((_UUID_MARK,)) + bytes.fromhex(text.replace("-", ""))
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) < _LONG_MARK:
        return bytes((len(raw),)) + raw
    return bytes((_LONG_MARK,)) + len(raw).to_bytes(3, "big") + raw
