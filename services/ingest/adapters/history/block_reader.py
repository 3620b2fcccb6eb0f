"""Reads the block list from history, with what was kept because of it. The intake lane decides; this list is for people."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, Select, and_, func, or_, select

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2
from services.ingest.adapters.history import cursor
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.mapping_persons import blocked_sender
from services.ingest.adapters.history.tables import IDENTITIES, MESSAGES

_LIST: Final = "blocked"


class BlockReader:
    """Implements `ports.Blocks`. Raises UNAVAILABLE HISTORY_AWAY, EXHAUSTED TENANT_READS."""

    def __init__(self, reads: FairReads) -> None:
        self._rows = reads.rows

    async def list(
        self, tenant: str, request: ingest_pb2.ListBlockedRequest, now_ms: int
    ) -> ingest_pb2.ListBlockedResponse:
        """Return a page of the senders that are blocked at this time, the last end first. Raises INVALID."""
        size = cursor.size_of(request.page)
        after = cursor.decode(_LIST, request.page.cursor)
        rows = await self._rows(tenant, _blocked(tenant, now_ms, after, size + 1))
        page = rows[:size]
        more = cursor.encode(_LIST, page[-1].blocked_until_ms, page[-1].identity_id) if len(rows) > size else ""
        return ingest_pb2.ListBlockedResponse(
            senders=await self._senders(tenant, page), page=types_pb2.PageInfo(next_cursor=more)
        )

    async def of_person(self, tenant: str, person_id: str, now_ms: int) -> Sequence[ingest_pb2.BlockedSender]:
        """Return the blocks of a person's identities that hold at this time."""
        i = IDENTITIES.c
        of = and_(i.tenant == tenant, i.person_id == person_id, i.blocked_until_ms > now_ms)
        return await self._senders(tenant, await self._rows(tenant, select(IDENTITIES).where(of)))

    async def _senders(self, tenant: str, rows: Sequence[Row[Any]]) -> Sequence[ingest_pb2.BlockedSender]:
        found = {row.identity_id: blocked_sender(tenant, row) for row in rows}
        for row in await self._rows(tenant, _kept(tenant, list(found))) if found else ():
            found[row.author_id].kept_messages = row.kept
            found[row.author_id].conversation_id = row.conversation_id
        return list(found.values())


def _blocked(tenant: str, now_ms: int, after: tuple[int, str] | None, most: int) -> Select[Any]:
    i = IDENTITIES.c
    until, key = i.blocked_until_ms, i.identity_id
    found = select(IDENTITIES).where(i.tenant == tenant, until > now_ms, until != 0)
    if after is not None:
        found = found.where(or_(until < after[0], and_(until == after[0], key < after[1])))
    return found.order_by(until.desc(), key.desc()).limit(most)


def _kept(tenant: str, identity_ids: Sequence[str]) -> Select[Any]:
    """The number of kept messages of each sender, and the conversation of the newest."""
    m = MESSAGES.c
    kept = and_(m.tenant == tenant, m.blocked != 0)
    newest = (
        select(m.author_id, func.count().label("kept"), func.max(m.occurred_at_ms).label("at_ms"))
        .where(kept, m.author_id.in_(identity_ids))
        .group_by(m.author_id)
        .subquery()
    )
    at = and_(kept, m.author_id == newest.c.author_id, m.occurred_at_ms == newest.c.at_ms)
    return (
        select(newest.c.author_id, newest.c.kept, func.min(m.conversation_id).label("conversation_id"))
        .join_from(newest, MESSAGES, at)
        .group_by(newest.c.author_id, newest.c.kept)
    )
