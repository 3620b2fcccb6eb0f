"""Parses WhatsApp's status reports: `entry[].changes[].value.statuses[]`, in any order and often repeated.

Each report has the `wamid` of the message and the text that the message carried (`biz_opaque_callback_data`), see
`delivery_reference`. A report without that text is found by its `wamid`. Whatever a report looks like, it is never
refused: the provider would send the whole call again.
"""

from typing import Any

import msgspec

from services.ingest.domain.delivery_facts import DeliveryState
from services.ingest.domain.delivery_reference import reference_of
from services.ingest.domain.normalise.json_body import seconds_to_ms, shaped, unstorable
from services.ingest.domain.normalise.message import IncomingReport
from services.ingest.domain.reasons import Reason
from services.ingest.domain.retry_classes import whatsapp_failure

_STATES = {
    "sent": DeliveryState.SENT,
    "delivered": DeliveryState.DELIVERED,
    "read": DeliveryState.READ,
    "played": DeliveryState.READ,  # of a voice message
    "failed": DeliveryState.FAILED,
}
_LONGEST_ID = 500


class Status(msgspec.Struct, frozen=True):
    """One report. Fields that a report can do without may have any type."""

    id: str
    status: str
    timestamp: Any = None
    recipient_id: Any = None
    biz_opaque_callback_data: Any = None
    errors: Any = None


def parse_status(item: Any) -> IncomingReport | str:
    """Parse one report. Returns "status" for one that says nothing about a message of ours."""
    if unstorable(item, "") is not None:
        return "status"
    status = shaped(item, Status, "")
    if not isinstance(status, Status):
        return "status"
    state = _STATES.get(status.status)
    known = reference_of(status.biz_opaque_callback_data)
    recipient = status.recipient_id if isinstance(status.recipient_id, str) else ""
    if state is None or (known is None and not (status.id and recipient)) or len(status.id) > _LONGEST_ID:
        return "status"
    reason, retryable = _failure(status) if state is DeliveryState.FAILED else ("", False)
    return IncomingReport(
        recipient=recipient[:_LONGEST_ID],
        native_id=status.id,
        state=state,
        at_ms=_time(status.timestamp),
        conversation_id=known.conversation_id if known is not None else "",
        delivery_id=known.delivery_id if known is not None else "",
        part=known.part if known is not None else 0,
        parts=known.parts if known is not None else 0,
        reason=reason,
        retryable=retryable,
    )


def _failure(status: Status) -> tuple[str, bool]:
    first = status.errors[0] if isinstance(status.errors, list) and status.errors else None
    code = first.get("code") if isinstance(first, dict) else None
    if not isinstance(code, int) or isinstance(code, bool) or not 0 <= code < 10_000_000:
        return Reason.FAILED_BY_PROVIDER, False
    return whatsapp_failure(code)


def _time(timestamp: Any) -> int:
    if not isinstance(timestamp, str) or not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 11:
        return 0
    return seconds_to_ms(int(timestamp))
