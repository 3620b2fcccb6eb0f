"""The audit log as the contract's answers, from the audit table."""

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row, Select, and_, or_, select

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import types_pb2
from services.ingest.history import cursor
from services.ingest.history.fair_reads import FairReads
from services.ingest.history.story import LATEST_MS
from services.ingest.history.tables import AUDIT

_LIST: Final = "audit"


class AuditReader:
    """Reads. Raises UNAVAILABLE HISTORY_AWAY while the database can't be reached, EXHAUSTED TENANT_READS when the tenant reads too much."""

    def __init__(self, reads: FairReads) -> None:
        self._rows = reads.rows

    async def list(self, tenant: str, request: audit_pb2.ListAuditRequest) -> audit_pb2.ListAuditResponse:
        """A page of records, newest first; each with all of its targets. Raises INVALID."""
        size = cursor.size_of(request.page)
        after = cursor.decode(_LIST, request.page.cursor)
        found = await self._rows(tenant, _events(tenant, request, after, size + 1))
        page = found[:size]
        targets = await self._rows(tenant, _targets(tenant, [row.event_id for row in page])) if page else ()
        records = {row.event_id: _record(row) for row in targets}
        for row in targets:
            records[row.event_id].targets.append(audit_pb2.AuditedTarget(kind=row.target_kind, id=row.target_id))
        more = cursor.encode(_LIST, page[-1].occurred_at_ms, page[-1].event_id) if len(found) > size else ""
        return audit_pb2.ListAuditResponse(
            records=[records[row.event_id] for row in page], page=types_pb2.PageInfo(next_cursor=more)
        )


def _events(tenant: str, request: audit_pb2.ListAuditRequest, after: tuple[int, str] | None, most: int) -> Select[Any]:
    a = AUDIT.c
    found = select(a.occurred_at_ms, a.event_id).where(a.tenant == tenant).distinct()
    if request.actor:
        found = found.where(or_(a.subject == request.actor, a.agent_id == request.actor))
    if request.target_kind:
        found = found.where(a.target_kind == request.target_kind)
    if request.target_id:
        found = found.where(a.target_id == request.target_id)
    if request.HasField("from"):
        found = found.where(a.occurred_at_ms >= _ms(getattr(request, "from")))
    if request.HasField("to"):
        found = found.where(a.occurred_at_ms < _ms(request.to))
    if after is not None:
        at, key = after
        found = found.where(or_(a.occurred_at_ms < at, and_(a.occurred_at_ms == at, a.event_id < key)))
    return found.order_by(a.occurred_at_ms.desc(), a.event_id.desc()).limit(most)


def _targets(tenant: str, event_ids: Sequence[str]) -> Select[Any]:
    a = AUDIT.c
    return select(AUDIT).where(a.tenant == tenant, a.event_id.in_(event_ids)).order_by(a.target_kind, a.target_id)


def _record(row: Row[Any]) -> audit_pb2.AuditRecord:
    return audit_pb2.AuditRecord(
        event_id=row.event_id,
        tenant=row.tenant,
        service=row.service,
        method=row.method,
        action=row.action,
        subject=row.subject,
        agent_id=row.agent_id,
        outcome=row.outcome,
        reason=row.reason,
        occurred_at_ms=row.occurred_at_ms,
        idempotency_key=row.idempotency_key,
    )


def _ms(time: Timestamp) -> int:
    return min(max(0, time.ToMilliseconds()), LATEST_MS)
