"""A migration keeps the rows that it finds, and lets the version before work on, on both databases."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.ingest.adapters.history.database import Database, database_url, migrate, migrations
from services.ingest.adapters.history.tables import METADATA

ONLY_ADDING_SINCE = "0005"


def the_columns(connection: Connection) -> dict[str, Mapping[str, Any]]:
    """Return each column of the database by table and name."""
    found = sa.inspect(connection)
    return {
        f"{table}.{column['name']}": column for table in found.get_table_names() for column in found.get_columns(table)
    }


def the_indexes(connection: Connection) -> set[str]:
    """Return the names of all indexes."""
    found = sa.inspect(connection)
    return {str(index["name"]) for table in found.get_table_names() for index in found.get_indexes(table)}


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


async def test_migrations_only_add(url: str) -> None:
    """The version before writes rows without the new columns, and reads the old ones as they were."""
    known = [each.revision for each in reversed(list(migrations().walk_revisions()))]
    async with Database(database_url(url, {}, "", "")) as database, database.engine.connect() as connection:
        for before, after in pairwise(known[known.index(ONLY_ADDING_SINCE) :]):
            await migrate(connection, before)
            old, indexes = await connection.run_sync(the_columns), await connection.run_sync(the_indexes)
            await connection.rollback()
            await migrate(connection, after)
            new, more = await connection.run_sync(the_columns), await connection.run_sync(the_indexes)
            await connection.rollback()
            for name, column in old.items():
                assert (str(new[name]["type"]), new[name]["nullable"]) == (str(column["type"]), column["nullable"]), (
                    name
                )
            tables = {name.partition(".")[0] for name in old}
            added = {
                name: column for name, column in new.items() if name not in old and name.partition(".")[0] in tables
            }
            assert added or new.keys() - old.keys() or more - indexes, after
            assert indexes <= more, after
            assert all(column["nullable"] or column["default"] for column in added.values()), added


async def test_a_version_works_on_with_the_schema_of_a_later_one(url: str) -> None:
    """An upgrade is rolled back: the revision of the database is one that this version does not know."""
    async with Database(database_url(url, {}, "", "")) as database, database.engine.connect() as connection:
        await migrate(connection)
        async with connection.begin():
            await connection.execute(sa.text("ALTER TABLE messages ADD COLUMN later TEXT NOT NULL DEFAULT ''"))
            await connection.execute(sa.text("UPDATE history_version SET version_num = 'later'"))
        await migrate(connection)
        async with connection.begin():
            assert (await connection.execute(sa.text("SELECT version_num FROM history_version"))).all() == [("later",)]
            for table in METADATA.sorted_tables:
                await connection.execute(sa.select(table))
