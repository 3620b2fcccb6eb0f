"""The text that a message carries to its provider, and that the provider repeats in each status report about it. It names the
conversation, the delivery, the part and the number of parts, so that a report finds its delivery without a search, also
when the provider's answer to the attempt was lost.

Only reports whose origin is proven are read, so the text needs no signature. The tenant is the account's, never the text's.
"""

import re
from dataclasses import dataclass
from typing import Final

from services.ingest.domain.delivery_facts import MAX_PARTS

_REFERENCE: Final = re.compile(r"chapar/([0-9A-Za-z._-]{1,200})/([0-9a-f-]{32,36})/([1-9]\d{0,2})/([1-9]\d{0,2})")
_LONGEST: Final = 512


@dataclass(frozen=True, slots=True)
class DeliveryReference:
    """A part of a delivery. `part` counts from 1."""

    conversation_id: str
    delivery_id: str
    part: int
    parts: int


def reference_text(reference: DeliveryReference) -> str:
    """Return the text for the provider."""
    part, parts = min(reference.part, MAX_PARTS), min(reference.parts, MAX_PARTS)
    return f"chapar/{reference.conversation_id}/{reference.delivery_id}/{part}/{parts}"


def reference_of(text: object) -> DeliveryReference | None:
    """Return what a text from a provider names; None when it is not one of ours."""
    found = _REFERENCE.fullmatch(text) if isinstance(text, str) and len(text) <= _LONGEST else None
    if found is None:
        return None
    part, parts = int(found.group(3)), int(found.group(4))
    return DeliveryReference(found.group(1), found.group(2), part, parts) if part <= parts <= MAX_PARTS else None
