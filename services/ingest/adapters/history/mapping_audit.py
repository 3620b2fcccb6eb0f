"""Maps audit records to rows. Pure."""

from typing import Final

from chapar.audit.v1 import audit_pb2
from services.ingest.adapters.history import rows
from services.ingest.adapters.history.rows import Fact
from services.ingest.adapters.history.story import ServiceName, clean, identifier, step

AUDIT: Final = ServiceName("audit", 4)


def audited(raw: bytes, offset: int) -> Fact | None:
    """Map a record of audit.v1 to one row for each of its targets. Raises Unreadable, DecodeError."""
    record = audit_pb2.AuditRecord.FromString(raw)
    event = step(AUDIT, record, "Audited", "", "", position=offset, details={})
    found = tuple(
        rows.AuditRow(
            tenant=event.tenant,
            event_id=event.event_id,
            target_kind=identifier(target.kind),
            target_id=identifier(target.id),
            occurred_at_ms=record.occurred_at_ms,
            service=clean(record.service),
            method=clean(record.method),
            action=int(record.action),
            subject=identifier(record.subject),
            agent_id=identifier(record.agent_id),
            outcome=int(record.outcome),
            reason=clean(record.reason),
            idempotency_key=clean(record.idempotency_key),
            calls=max(1, record.calls),
        )
        for target in record.targets or [audit_pb2.AuditedTarget()]
    )
    return Fact(event, rows.Audited(found))
