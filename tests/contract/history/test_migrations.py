"""A migration keeps the rows that it finds, on both databases."""

import sqlalchemy as sa
from sqlalchemy import Connection

from services.ingest.adapters.history.database import Database, database_url, migrate


def an_empty_row(connection: Connection, table: str) -> dict[str, object]:
    """Return a value for each column: 0 or ""."""
    columns = sa.inspect(connection).get_columns(table)
    return {column["name"]: 0 if isinstance(column["type"], sa.Integer) else "" for column in columns}


async def test_the_invitations_keep_their_rows_under_the_new_name(url: str) -> None:
    """0005 renames a table and a column; it creates none."""
    of = {"tenant": "acme", "interaction_id": "i", "facts_epoch": 7}
    asked = {"tenant": "acme", "invitation_id": "v", "interaction_id": "i", "score": 4}
    async with Database(database_url(url, {}, "", "")) as database, database.engine.connect() as connection:
        await migrate(connection, "0004")
        async with connection.begin():
            for table, row in (("interactions", of), ("answers", asked)):
                kept = await connection.run_sync(an_empty_row, table) | row
                names = ", ".join(kept)
                values = ", ".join(f":{name}" for name in kept)
                await connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), kept)
        await migrate(connection)
        found = await connection.execute(sa.text("SELECT interaction_id, score FROM invitations"))
        assert found.all() == [("i", 4)]
        found = await connection.execute(sa.text("SELECT attributes_epoch FROM interactions"))
        assert found.all() == [(7,)]
