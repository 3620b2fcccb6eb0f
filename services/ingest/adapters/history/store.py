"""Writes rows and positions in one transaction.

Each transaction first moves the positions from where this process expects them. If another replica that folds, or a
rebuild, has moved them, nothing is written (`Moved`), and reading begins again at the current positions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

from sqlalchemy import Table, and_, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.adapters.history import tables
from services.ingest.adapters.history.fold import Rows
from services.ingest.adapters.history.rows import (
    Conversation,
    Delivery,
    Fact,
    FileChanged,
    Identity,
    Interaction,
    Invitation,
    Key,
    with_file,
)

_ALL: Final = (
    tables.CONVERSATIONS,
    tables.MESSAGES,
    tables.IDENTITIES,
    tables.INTERACTIONS,
    tables.EVENTS,
    tables.DELIVERIES,
    tables.INVITATIONS,
)
_IDS_AT_ONCE: Final = 500
R = TypeVar("R")

Place = tuple[str, int]
"""(full name of a topic, partition)."""


@dataclass(frozen=True, slots=True)
class Emptied:
    """Rows of one conversation that an erasure emptied."""

    tenant: str
    conversation_id: str
    request_id: str
    messages: int
    deliveries: int


class Moved(Exception):  # noqa: N818 - names what happened, not an error
    """The positions are not where they were expected: nothing was written."""


async def positions(connection: AsyncConnection, places: Iterable[Place]) -> dict[Place, int]:
    """Return where reading continues, for each of these places. New places are stored with 0."""
    wanted = sorted(set(places))
    table = tables.POSITIONS
    async with connection.begin():
        if wanted:
            new = _insert(connection, table).on_conflict_do_nothing()
            await connection.execute(new, [{"log": log, "partition": p, "next_offset": 0} for log, p in wanted])
        found = await connection.execute(select(table))
        known = {(row.log, row.partition): row.next_offset for row in found}
    return {place: known[place] for place in wanted if place in known}


async def write(
    connection: AsyncConnection,
    facts: Sequence[Fact],
    before: Mapping[Place, int],
    after: Mapping[Place, int],
    erased: "list[Emptied] | None" = None,
) -> list[bool]:
    """Fold the facts and move the positions; returns for each fact whether it had been counted before. Raises Moved.

    The rows emptied by erasures are added to `erased`; they are valid once this returns.
    """
    async with connection.begin():
        for (log, partition), expected in sorted(before.items()):
            await _move(connection, log, partition, expected, after[log, partition])
        rows = await _load(connection, facts)
        stored = {table.name: _values(found) for table, found in _kept(rows)}
        repeated = rows.fold(facts)
        emptied = await _save(connection, rows, stored)
    if erased is not None:
        erased += emptied
    return repeated


async def check(connection: AsyncConnection, expected: Mapping[Place, int]) -> None:
    """Raise Moved unless the positions are as expected."""
    async with connection.begin():
        found = {
            (row.log, row.partition): row.next_offset for row in await connection.execute(select(tables.POSITIONS))
        }
    if any(found.get(place) != at for place, at in expected.items()):
        raise Moved


async def reset(connection: AsyncConnection, log: str, partition: int, expected: int) -> None:
    """Go back to the beginning of one partition. Raises Moved."""
    async with connection.begin():
        await _move(connection, log, partition, expected, 0)


async def clear(connection: AsyncConnection) -> None:
    """Delete the positions first and then all rows except the audit's: the folding replica notices and begins again."""
    async with connection.begin():
        await connection.execute(delete(tables.POSITIONS))
        for table in _ALL:
            await connection.execute(delete(table))


async def _move(connection: AsyncConnection, log: str, partition: int, expected: int, to: int) -> None:
    table = tables.POSITIONS
    here = and_(table.c.log == log, table.c.partition == partition, table.c.next_offset == expected)
    moved = await connection.execute(update(table).where(here).values(next_offset=to))
    if moved.rowcount != 1:
        raise Moved


async def _load(connection: AsyncConnection, facts: Sequence[Fact]) -> Rows:
    events = {(fact.event.tenant, fact.event.event_id) for fact in facts}
    conversations = {(fact.event.tenant, fact.event.conversation_id) for fact in facts}
    interactions = {(fact.event.tenant, fact.event.interaction_id) for fact in facts}
    deliveries = {(d.tenant, d.delivery_id) for d in (fact.change for fact in facts) if isinstance(d, Delivery)}
    invitations = {(fact.event.tenant, fact.invitation_id) for fact in facts}
    table = tables.EVENTS
    rows = Rows(
        conversations=await _rows(connection, tables.CONVERSATIONS, Conversation, conversations),
        interactions=await _rows(connection, tables.INTERACTIONS, Interaction, interactions),
        deliveries=await _rows(connection, tables.DELIVERIES, Delivery, deliveries),
        invitations=await _rows(connection, tables.INVITATIONS, Invitation, invitations),
    )
    identities = {(fact.event.tenant, fact.identity_id) for fact in facts}
    identities |= {(row.tenant, row.identity_id) for row in rows.conversations.values()}
    rows.identities = await _rows(connection, tables.IDENTITIES, Identity, identities)
    for tenant, ids in _by_tenant(events):
        found = select(table.c.event_id).where(table.c.tenant == tenant, table.c.event_id.in_(ids))
        rows.known.update((tenant, row.event_id) for row in await connection.execute(found))
    return rows


async def _rows(connection: AsyncConnection, table: Table, kind: type[R], keys: set[Key]) -> dict[Key, R]:
    column = list(table.primary_key.columns)[1]
    found: dict[Key, R] = {}
    for tenant, ids in _by_tenant(keys):
        answer = await connection.execute(select(table).where(table.c.tenant == tenant, column.in_(ids)))
        for row in answer.mappings():
            found[tenant, row[column.name]] = kind(**row)
    return found


def _by_tenant(keys: set[Key]) -> Iterable[tuple[str, list[str]]]:
    by: dict[str, list[str]] = {}
    for tenant, key in sorted(keys):
        if key:
            by.setdefault(tenant, []).append(key)
    for tenant, ids in by.items():
        for start in range(0, len(ids), _IDS_AT_ONCE):
            yield tenant, ids[start : start + _IDS_AT_ONCE]


def _kept(rows: Rows) -> tuple[tuple[Table, Mapping[Key, Any]], ...]:
    return (
        (tables.CONVERSATIONS, rows.conversations),
        (tables.IDENTITIES, rows.identities),
        (tables.INTERACTIONS, rows.interactions),
        (tables.DELIVERIES, rows.deliveries),
        (tables.INVITATIONS, rows.invitations),
    )


def _values(rows: Mapping[Key, Any]) -> dict[Key, dict[str, Any]]:
    return {key: asdict(row) for key, row in rows.items()}


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "text": "",
        "subject": "",
        "folded": "",
        "native_message_id": "",
        "in_reply_to": "",
        "attachments": [],
        "to_addresses": [],
        "cc_addresses": [],
        "template": {},
        "text_parts": [],
        "origin": {},
        "original": {},
    }
)
"""The personal columns of a message that was erased."""


async def _save(
    connection: AsyncConnection, rows: Rows, stored: Mapping[str, Mapping[Key, dict[str, Any]]]
) -> "list[Emptied]":
    messages, deliveries = tables.MESSAGES, tables.DELIVERIES
    emptied: list[Emptied] = []
    for (tenant, conversation_id), (at_ms, request_id) in rows.erasures.items():
        # Of this batch's messages, only those after the erasure still have their content: they are inserted below.
        of = and_(messages.c.tenant == tenant, messages.c.conversation_id == conversation_id)
        texts = await connection.execute(update(messages).where(of).values(_NOTHING))
        sent = and_(
            deliveries.c.tenant == tenant,
            deliveries.c.conversation_id == conversation_id,
            deliveries.c.occurred_at_ms <= at_ms,
        )
        numbers = await connection.execute(update(deliveries).where(sent).values(native_ids=[]))
        emptied.append(Emptied(tenant, conversation_id, request_id, texts.rowcount, numbers.rowcount))
    for (tenant, identity_id), at_ms in rows.participants.items():
        theirs = and_(
            messages.c.tenant == tenant,
            messages.c.author_id == identity_id,
            messages.c.participant != 0,
            messages.c.occurred_at_ms <= at_ms,
        )
        await connection.execute(update(messages).where(theirs).values(_NOTHING))
    for table, found in _kept(rows):
        before = stored[table.name]
        await _upsert(connection, table, [value for key, value in _values(found).items() if value != before.get(key)])
    for place, file in rows.files:
        await _settle(connection, place, file)
    await _insert_new(connection, messages, rows.messages.values())
    await _insert_new(connection, tables.EVENTS, rows.events)
    await _insert_new(connection, tables.AUDIT, rows.audited)
    return emptied


async def _settle(connection: AsyncConnection, of: tuple[str, str, str], file: FileChanged) -> None:
    """Change a file of a message that was written before."""
    messages = tables.MESSAGES
    tenant, conversation_id, message_id = of
    here = and_(
        messages.c.tenant == tenant,
        messages.c.conversation_id == conversation_id,
        messages.c.message_id == message_id,
    )
    for row in await connection.execute(select(messages.c.attachments).where(here)):
        changed = with_file(row.attachments, file.attachment)
        if changed is not None:
            values = {"attachments": changed, "files_sequence": file.sequence}
            await connection.execute(update(messages).where(here).values(values))


async def _upsert(connection: AsyncConnection, table: Table, values: list[dict[str, Any]]) -> None:
    if not values:
        return
    keys = [column.name for column in table.primary_key.columns]
    statement = _insert(connection, table)
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    await connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), values)


async def _insert_new(connection: AsyncConnection, table: Table, rows: Iterable[Any]) -> None:
    values = [asdict(row) for row in rows]
    if values:
        await connection.execute(_insert(connection, table).on_conflict_do_nothing(), values)


def _insert(connection: AsyncConnection, table: Table) -> Any:
    """Both dialects have the same `on_conflict_…`, in different classes."""
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(table)
