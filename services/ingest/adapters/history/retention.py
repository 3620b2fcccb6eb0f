"""Deletes old conversations: those whose last message is older than the retention, with everything that belongs to
them. Also deletes old audit records, by their own retention.

It works in small transactions with pauses between them, so that neither the fold nor readers wait. Rows are chosen
by their own times, so it may run in every replica and may be stopped at any point. SQLite overwrites deleted content
(`secure_delete`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import ColumnElement, Table, Text, and_, cast, delete, exists, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import Clock
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.ingest.adapters.history import tables
from services.ingest.adapters.history.database import Database

DAY_MS: Final = 86_400_000
BATCH: Final = 100
"""Conversations per transaction."""
AUDIT_BATCH: Final = 500
"""Audit records per transaction."""
_BEGIN_S: Final = 60.0
"""Delay after a start, so that the schema is created first and more urgent work is done."""
_PAUSE_S: Final = 0.05
_OF_CONVERSATION: Final = (
    tables.MESSAGES,
    tables.EVENTS,
    tables.DELIVERIES,
    tables.INVITATIONS,
    tables.INTERACTIONS,
    tables.CONVERSATIONS,
)


class Retention:
    """Deletes conversations older than `days` and audit records older than `audit_days`; 0 means never."""

    def __init__(
        self,
        database: Database,
        days: int,
        audit_days: int,
        clock: Clock,
        metrics: Metrics,
        every_s: float = 3600.0,
    ) -> None:
        self._database = database
        self._days = days
        self._audit_days = audit_days
        self._clock = clock
        self._every_s = every_s
        self._retired = metrics.counter("chapar_history_retired_rows_total")
        self._log = get_logger(__name__)

    async def run(self) -> None:
        """Run a minute after the start and then every hour, until cancelled."""
        await asyncio.sleep(_BEGIN_S)
        while self._days or self._audit_days:
            try:
                await self.once()
            except (SQLAlchemyError, OSError) as error:
                # The error's text may show rows.
                self._log.warning("old history can't be deleted now", error=type(error).__name__)
            await asyncio.sleep(self._every_s)
        await asyncio.Event().wait()

    async def once(self) -> int:
        """Delete everything that is too old now; returns the number of rows deleted."""
        total = 0
        if self._days:
            total += await self._until_none(self._batch, self._clock() - self._days * DAY_MS)
        if self._audit_days:
            total += await self._until_none(self._audit_batch, self._clock() - self._audit_days * DAY_MS)
        return total

    async def _until_none(self, batch: Callable[[AsyncConnection, int], Awaitable[dict[str, int]]], before: int) -> int:
        total = 0
        while True:
            async with self._database.engine.connect() as connection:
                gone = await batch(connection, before)
            for table, rows in gone.items():
                self._retired.labels(table).inc(rows)
            total += sum(gone.values())
            if not gone:
                return total
            await asyncio.sleep(_PAUSE_S)

    async def _batch(self, connection: AsyncConnection, before_ms: int) -> dict[str, int]:
        c = tables.CONVERSATIONS.c
        async with connection.begin():
            old = select(c.tenant, c.conversation_id).where(c.last_message_at_ms < before_ms).limit(BATCH)
            found = [(row.tenant, row.conversation_id) for row in await connection.execute(old)]
            gone: dict[str, int] = {}
            for tenant in sorted({tenant for tenant, _ in found}):
                ids = [conversation for of, conversation in found if of == tenant]
                for table in _OF_CONVERSATION:
                    mine = and_(table.c.tenant == tenant, table.c.conversation_id.in_(ids))
                    await _count(connection, table, mine, gone)
            if not found:
                await self._rest(connection, before_ms, gone)
        return {table: rows for table, rows in gone.items() if rows}

    async def _audit_batch(self, connection: AsyncConnection, before_ms: int) -> dict[str, int]:
        a = tables.AUDIT.c
        async with connection.begin():
            old = select(a.tenant, a.event_id).where(a.occurred_at_ms < before_ms).distinct().limit(AUDIT_BATCH)
            found = [(row.tenant, row.event_id) for row in await connection.execute(old)]
            gone: dict[str, int] = {}
            for tenant in sorted({tenant for tenant, _ in found}):
                ids = [event for of, event in found if of == tenant]
                await _count(connection, tables.AUDIT, and_(a.tenant == tenant, a.event_id.in_(ids)), gone)
        return {table: rows for table, rows in gone.items() if rows}

    async def _rest(self, connection: AsyncConnection, before_ms: int, gone: dict[str, int]) -> None:
        """Identities without a conversation, without opt-outs, which hold for ever, and without a block; and rows that belong to no conversation."""
        identities, conversations = tables.IDENTITIES, tables.CONVERSATIONS
        at_home = exists().where(
            conversations.c.tenant == identities.c.tenant, conversations.c.identity_id == identities.c.identity_id
        )
        newest = and_(identities.c.person_at_ms < before_ms, identities.c.stated_at_ms < before_ms)
        opted_out = cast(identities.c.opt_outs, Text) != "[]"
        blocked = identities.c.blocked_until_ms >= before_ms
        await _count(connection, identities, and_(newest, ~at_home, ~opted_out, ~blocked), gone)
        for table in (tables.EVENTS, tables.DELIVERIES):
            homeless = ~exists().where(
                conversations.c.tenant == table.c.tenant, conversations.c.conversation_id == table.c.conversation_id
            )
            await _count(connection, table, and_(table.c.occurred_at_ms < before_ms, homeless), gone)


async def _count(connection: AsyncConnection, table: Table, which: ColumnElement[bool], gone: dict[str, int]) -> None:
    done = await connection.execute(delete(table).where(which))
    gone[table.name] = gone.get(table.name, 0) + done.rowcount
