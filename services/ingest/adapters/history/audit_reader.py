"""Reads the audit table and returns the contract's answers.

A page ends early when its records have too many targets or bytes, so that the caller's client can accept every page. A page
has at least one record, and the writer limits the targets of a record.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row, Select, and_, func, or_, select

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import types_pb2
from services.ingest.adapters.history import cursor
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.story import LATEST_MS
from services.ingest.adapters.history.tables import AUDIT

Item = TypeVar("Item")
_LIST: Final = "audit"
MOST_PAGE_TARGETS: Final = 5000
MOST_PAGE_BYTES: Final = 1 << 20
"""A gRPC client accepts 4 MiB by default."""


class AuditReader:
    """Reads audit records.

    Raises UNAVAILABLE HISTORY_AWAY while the database can't be reached, EXHAUSTED TENANT_READS when the tenant reads too
    much.
    """

    def __init__(self, reads: FairReads, most_page_bytes: int = MOST_PAGE_BYTES) -> None:
        """`most_page_bytes`: the most bytes of a page; one record that is larger is a page."""
        self._rows = reads.rows
        self._most_page_bytes = most_page_bytes

    async def list(self, tenant: str, request: audit_pb2.ListAuditRequest) -> audit_pb2.ListAuditResponse:
        """Return a page of records, newest first, each with all of its targets.

        The page may be shorter than requested; it then has a cursor for the next page. Raises INVALID.
        """
        size = cursor.size_of(request.page)
        after = cursor.decode(_LIST, request.page.cursor)
        found = await self._rows(tenant, _events(tenant, request, after, size + 1))
        page = await self._records(tenant, found[:size])
        last = found[len(page) - 1] if len(found) > len(page) else None
        more = "" if last is None else cursor.encode(_LIST, last.occurred_at_ms, last.event_id)
        return audit_pb2.ListAuditResponse(records=page, page=types_pb2.PageInfo(next_cursor=more))

    async def _records(self, tenant: str, found: Sequence[Row[Any]]) -> Sequence[audit_pb2.AuditRecord]:
        """Return the records of these events in their order, up to the limits of one answer."""
        if not found:
            return []
        counts = {
            row.event_id: row.targets for row in await self._rows(tenant, _counts(tenant, [e.event_id for e in found]))
        }
        chosen = list(_within(MOST_PAGE_TARGETS, [row.event_id for row in found], counts.__getitem__))
        rows = await self._rows(tenant, _targets(tenant, chosen))
        records = {row.event_id: _record(row) for row in rows}
        for row in rows:
            if row.target_kind:  # a record without targets has one row
                records[row.event_id].targets.append(audit_pb2.AuditedTarget(kind=row.target_kind, id=row.target_id))
        return list(_within(self._most_page_bytes, [records[each] for each in chosen], lambda each: each.ByteSize()))


def _within(most: int, items: Sequence[Item], size: Callable[[Item], int]) -> Iterator[Item]:
    """Yield the first item, and the following ones while the sum of sizes is at most `most`."""
    total = 0
    for number, each in enumerate(items):
        total += size(each)
        if number and total > most:
            return
        yield each


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


def _counts(tenant: str, event_ids: Sequence[str]) -> Select[Any]:
    a = AUDIT.c
    of = and_(a.tenant == tenant, a.event_id.in_(event_ids))
    return select(a.event_id, func.count().label("targets")).where(of).group_by(a.event_id)


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
        calls=row.calls,
    )


def _ms(time: Timestamp) -> int:
    return min(max(0, time.ToMilliseconds()), LATEST_MS)
