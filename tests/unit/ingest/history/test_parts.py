"""Text folding, the database's address, cursors, and the schema with its migrations."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from services.chassis.errors import ChaparError
from services.ingest.adapters.history import cursor
from services.ingest.adapters.history.database import Database, database_url, migrate
from services.ingest.adapters.history.tables import METADATA
from services.ingest.adapters.history.text import fold, pattern, words


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("كتاب‌هاي", "کتابهای"),
        ("مُحَمَّد", "محمد"),
        ("ســـلام", "سلام"),
        ("۱۲۳ ٤٥٦", "123 456"),
        ("آب", "اب"),
        ("مسئول", "مسیول"),
        ("خانۀ", "خانه"),
        ("STRASSE Straße", "strasse strasse"),
        ("ﻼ", "لا"),
        ("É", "e"),
        ("a\u200f\u202eb\r\n\tc", "ab c"),
        ("", ""),
    ],
)
def test_folding(written: str, found: str) -> None:
    """Texts that look the same to a reader are the same after folding."""
    assert fold(written) == found


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    """So a folded query matches a folded text."""
    once = fold(text)
    assert fold(once) == once
    assert once == once.strip()


def test_search_words_are_bounded_and_literal() -> None:
    """At most ten words, each once; LIKE's special characters are escaped."""
    assert words("b a b") == ("b", "a")
    assert words(" \u200c ") == ()
    assert len(words(" ".join(map(str, range(50))))) == 10
    assert pattern("5%_\\") == "%5\\%\\_\\\\%"


def test_where_history_is_kept() -> None:
    """The setting wins over DATABASE_URL, which wins over a file of this replica; we choose the drivers."""
    environment = {"DATABASE_URL": "postgres://u:p@h/d?sslmode=require"}
    assert (
        database_url("", environment, "dir", "x").render_as_string(hide_password=False)
        == "postgresql+asyncpg://u:p@h/d?ssl=require"
    )
    assert database_url("postgresql://h/d", environment, "dir", "x").render_as_string() == "postgresql+asyncpg://h/d"
    assert database_url("sqlite:////tmp/a.db", {}, "dir", "x").render_as_string() == "sqlite+aiosqlite:////tmp/a.db"
    assert database_url("", {}, "dir", "demo-1.in/g 0").database == str(Path("dir") / "history-demo-1.in_g_0.sqlite3")


@pytest.mark.parametrize("wrong", ["mysql://h/d", "nonsense", "sqlite://"])
def test_other_databases_are_refused(wrong: str) -> None:
    """The error says in one sentence which URLs are accepted."""
    with pytest.raises(ChaparError, match="DATABASE_URL"):
        database_url(wrong, {}, "", "")


async def test_a_directory_without_rights_is_named(tmp_path: Path) -> None:
    """If a state directory can't be created, the error names it and the setting to change."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ChaparError, match="set state_dir or DATABASE_URL"):
        async with Database(database_url("", {}, str(tmp_path / "file" / "dir"), "x")):
            pass


async def test_migrations_lead_to_the_schema(tmp_path: Path) -> None:
    """The migrations create exactly the schema of the tables, and a second run changes nothing."""

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"version_table": "history_version"})
        return list(compare_metadata(context, METADATA))

    async with Database(database_url("", {}, str(tmp_path), "x")) as database, database.engine.connect() as connection:
        await migrate(connection)
        await migrate(connection)
        assert await connection.run_sync(differences) == []


def test_a_cursor_belongs_to_its_list() -> None:
    """A cursor leads back to its row, and another list refuses it."""
    made = cursor.encode("messages", 7, "کلید")
    assert cursor.decode("messages", made) == (7, "کلید")
    assert cursor.decode("messages", "") is None
    with pytest.raises(ChaparError, match="not a cursor of this list"):
        cursor.decode("interactions", made)
