"""Reads all rows of a history, for comparison."""

from typing import Any

from sqlalchemy import select

from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.tables import METADATA, POSITIONS


async def everything(database: Database, *, positions: bool = True) -> dict[str, list[dict[str, Any]]]:
    """Return every table, in the order of its keys."""
    found = {}
    async with database.engine.connect() as connection:
        for table in METADATA.sorted_tables:
            if table is POSITIONS and not positions:
                continue
            rows = await connection.execute(select(table).order_by(*table.primary_key.columns))
            found[table.name] = [dict(row) for row in rows.mappings()]
    return found
