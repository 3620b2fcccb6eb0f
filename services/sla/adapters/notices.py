"""Webhook notices about deadlines: to the webhook that an escalation names, and to webhooks that subscribe to such
events.

It reads sla.events.v1 in a consumer group of its own, at least once; a notice has its event's id, so that a receiver
can drop a repetition. `services.webhooks.retries` repeats attempts, and decides what becomes of notices that no
receiver takes. Events older than a day are not sent: otherwise a new group would begin with last month.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.message import DecodeError

from chapar.common.v1.webhook_pb2 import WebhookNotice
from chapar.config.v1 import config_pb2
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.clock import Clock
from services.chassis.kafka.records import Record
from services.chassis.logs import get_logger
from services.policy.model.webhooks import Endpoint, WebhookEvent
from services.webhooks.retries import Webhooks

GROUP: Final = "sla-notices"
TOPIC: Final = "sla.webhooks.v1"
_OLD_MS: Final = 86_400_000
_TYPES: Final = {
    sla.SLA_EVENT_KIND_WARNED: WebhookEvent.WARNED,
    sla.SLA_EVENT_KIND_DESIRED_PASSED: WebhookEvent.DESIRED_PASSED,
    sla.SLA_EVENT_KIND_BREACHED: WebhookEvent.BREACHED,
    sla.SLA_EVENT_KIND_ESCALATED: WebhookEvent.ESCALATED,
    sla.SLA_EVENT_KIND_CORRECTED: WebhookEvent.CORRECTED,
    sla.SLA_EVENT_KIND_REARMED: WebhookEvent.REARMED,
}
Receivers = Callable[[str], Mapping[str, Endpoint]]
"""Returns the webhooks of a tenant, by name, as configured now."""


class Notices:
    """Handler for GroupConsumer."""

    def __init__(self, receivers: Receivers, webhooks: Webhooks, clock: Clock) -> None:
        self._receivers = receivers
        self._webhooks = webhooks
        self._clock = clock
        self._log = get_logger(__name__)

    async def handle(self, records: list[Record]) -> None:
        """Send the notices of a batch. Raises NotNow if a notice can neither be sent nor kept for later."""
        notices = [notice for record in records for notice in self._of(record)]
        if notices:
            await self._webhooks.tell(notices)

    def _of(self, record: Record) -> list[WebhookNotice]:
        try:
            event = sla.SlaEvent.FromString(record.value or b"")
        except DecodeError:
            # Only the sla lanes write this topic: log it and go on.
            self._log.error("event not readable", partition=record.partition, offset=record.offset)
            return []
        kind = _TYPES.get(event.kind)
        if kind is None or event.occurred_at_ms < self._clock() - _OLD_MS:
            return []
        wanting = {name for name, endpoint in self._receivers(event.tenant).items() if kind in endpoint.events}
        if event.action.webhook:
            wanting.add(event.action.webhook)
        body = document_of(event, kind) if wanting else b""
        return [
            WebhookNotice(message_id=event.event_id, tenant=event.tenant, webhook=name, body=body)
            for name in sorted(wanting)
        ]


def document_of(event: sla.SlaEvent, kind: str) -> bytes:
    """Return the JSON document: type and time as in Standard Webhooks, ids and attributes as `data`, and no text of
    a customer or an agent."""
    data: dict[str, Any] = {
        "event_id": event.event_id,
        "tenant": event.tenant,
        "interaction_id": event.interaction_id,
        "conversation_id": event.conversation_id,
        "queue": event.queue,
        "channel": event.channel,
        "agent_id": event.agent_id,
        "policy": event.policy,
        "target": _word(config_pb2.TargetKind, event.target, "TARGET_KIND_"),
        "instance": event.epoch,
        "level": _word(sla.SlaLevel, event.level, "SLA_LEVEL_"),
        "desired_at": _time(event.desired_at_ms),
        "adequate_at": _time(event.adequate_at_ms),
        "used_ms": event.used_ms,
    }
    if event.warning:
        data |= {"warning": event.warning, "share": event.share}
    if event.kind == sla.SLA_EVENT_KIND_ESCALATED:
        data["escalation"] = {
            "add_priority": event.action.add_priority,
            "queue": event.action.queue,
            "requirements": [requirement.attribute for requirement in event.action.requirements],
            "supervisor": event.action.supervisor,
        }
    document = {"type": kind, "timestamp": _time(event.occurred_at_ms), "data": data}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _word(kind: Any, value: int, prefix: str) -> str:
    """Return the name of an enumeration's value; the number, for a value that a newer version added."""
    return str(kind.Name(value)).removeprefix(prefix).lower() if value in kind.values() else str(value)


def _time(at_ms: int) -> str | None:
    """Return ISO 8601, UTC; null for no time, and for a time outside the calendar's range."""
    if not 0 < at_ms < 253_370_764_800_000:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
