"""Which messages are also kept as they arrived: the channel setting `keep_original`."""

from collections.abc import Mapping
from typing import Final

from services.ingest.domain.normalise.message import IncomingAttachment

_USUALLY: Final = frozenset({"telegram", "whatsapp", "webhook", "email"})
"""A provider's call holds more than its parser uses. The record of web chat and of gRPC holds the whole input."""
_TYPES: Final = {
    "email": ("message/rfc822", "message.eml"),
    "grpc": ("application/octet-stream", "request.pb"),
}
_JSON: Final = ("application/json", "message.json")


def keeps_original(channel: str, settings: Mapping[str, str]) -> bool:
    """Return whether an account's messages are kept as they arrived. An unknown value, which lint reports, is as if there
    were none."""
    chosen = settings.get("keep_original", "")
    return chosen == "true" or (chosen != "false" and channel in _USUALLY)


def original_of(channel: str, raw: bytes) -> IncomingAttachment:
    """Return the raw bytes of a call as the original of its message."""
    content_type, name = _TYPES.get(channel, _JSON)
    return IncomingAttachment(content_type, name, len(raw), content=raw)
