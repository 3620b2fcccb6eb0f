"""The database of history: SQLite in a file of this replica's own, or PostgreSQL shared by all replicas.

With PostgreSQL only one replica folds: it holds an advisory lock on the connection that it writes with, so if it loses
the connection, it loses the lock too. The lock avoids duplicate work. Correctness does not depend on it but on the
positions (see `store`).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.logs import get_logger
from services.ingest.adapters.history.sqlite_connection import ReleasedConnection
from services.ingest.domain.reasons import Reason

VARIABLE: Final = "DATABASE_URL"
_LOCK: Final = 0x6368_6170_6172  # "chapar": an advisory lock is a number in one database
_BUSY_MS: Final = 10_000
_INTERRUPT_AGAIN_S: Final = 0.2
_CHECKPOINT_TRIES: Final = 20
_CHECKPOINT_AGAIN_S: Final = 0.1
_ASK_AGAIN_S: Final = 1.0
_log: Final = get_logger(__name__)
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_POSTGRES: Final = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})


def database_url(setting: str, environment: Mapping[str, str], state_dir: str, name: str) -> URL:
    """Return where history is kept: the setting, otherwise DATABASE_URL, otherwise a SQLite file in `state_dir` named
    with `name`.

    Raises INVALID DATABASE_URL for a URL that is neither PostgreSQL nor SQLite.
    """
    given = setting or environment.get(VARIABLE, "")
    if not given:
        file = re.sub(r"[^A-Za-z0-9._-]", "_", f"history-{name}.sqlite3")
        return URL.create("sqlite+aiosqlite", database=str(Path(state_dir) / file))
    try:
        url = make_url(given)
    except ArgumentError as error:
        raise _refused("is not a URL") from error
    if url.drivername in _POSTGRES:
        # People have libpq's parameter name in their URLs; asyncpg uses another.
        query = {("ssl" if key == "sslmode" else key): value for key, value in url.query.items()}
        return url.set(drivername="postgresql+asyncpg", query=query)
    if url.drivername in ("sqlite", "sqlite+aiosqlite") and url.database:
        return url.set(drivername="sqlite+aiosqlite")
    raise _refused("must be postgresql://user@host/name, or sqlite:///path")


class Database:
    """The engine, and the differences between the two databases."""

    def __init__(self, url: URL) -> None:
        self.postgres = url.drivername.startswith("postgresql")
        self.shown = url.render_as_string(hide_password=True)
        self.url = url
        self._engine: AsyncEngine | None = None

    async def __aenter__(self) -> "Database":
        if self.postgres:
            self._engine = create_async_engine(self.url, pool_pre_ping=True, pool_size=5, pool_timeout=10)
            return self
        file = Path(self.url.database or "")
        try:
            await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
        except OSError as error:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                Reason.STATE_DIR,
                f"history can't be kept in {file.parent} ({error.strerror}): set state_dir or {VARIABLE}",
            ) from error
        self._engine = create_async_engine(self.url, connect_args={"factory": ReleasedConnection})
        event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(self._engine.sync_engine, "begin", _begin_sqlite)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.dispose()

    @property
    def engine(self) -> AsyncEngine:
        """Return the engine; only inside the block."""
        if self._engine is None:
            raise RuntimeError("the database is not open")
        return self._engine

    async def forget_deleted(self, connection: AsyncConnection) -> None:
        """Remove emptied rows from SQLite's write-ahead log. Call it outside a transaction.

        Readers may keep the log from being truncated; then the next erasure or SQLite's own checkpoint truncates it.
        PostgreSQL has VACUUM, see docs/operating.md.
        """
        if self.postgres:
            return
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        for _ in range(_CHECKPOINT_TRIES):
            cursor = await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            busy, *_rest = await cursor.fetchone()
            await cursor.close()
            if not busy:
                return
            await asyncio.sleep(_CHECKPOINT_AGAIN_S)

    @asynccontextmanager
    async def within(self, connection: AsyncConnection, seconds: float) -> AsyncIterator[None]:
        """Bound the time of the block's statements. Raises TimeoutError; the connection must be given up then.

        SQLite is interrupted rather than cancelled: a connection is closed only behind the statement that it executes,
        and keeps its lock until then.
        """
        if self.postgres:
            async with asyncio.timeout(seconds):
                yield
            return
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        interrupted = False

        async def interrupt() -> None:
            nonlocal interrupted
            await asyncio.sleep(seconds)
            interrupted = True
            while True:  # one that comes between two statements has no effect
                await driver.interrupt()
                await asyncio.sleep(_INTERRUPT_AGAIN_S)

        interrupting = asyncio.create_task(interrupt())
        try:
            yield
        except OperationalError as error:
            if interrupted:
                raise TimeoutError(f"the database took longer than {seconds:g} s") from error
            raise
        finally:
            interrupting.cancel()
            await asyncio.wait({interrupting})

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection whose holder may fold; waits until no other replica may. The schema is up to date inside
        the block."""
        async with self.engine.connect() as connection:
            if not self.postgres:
                await migrate(connection)
                yield connection
                return
            ask = text("SELECT pg_try_advisory_lock(:lock)")
            while not (await connection.execute(ask, {"lock": _LOCK})).scalar_one():
                await connection.rollback()
                await asyncio.sleep(_ASK_AGAIN_S)
            await connection.commit()
            try:
                await migrate(connection)
                yield connection
            finally:
                # The lock belongs to the connection, which must not go back to the pool with it.
                await connection.invalidate()


async def migrate(connection: AsyncConnection, revision: str = "head") -> None:
    """Bring the schema up to date, or to a revision, in one transaction.

    A later version may have migrated it before, in an upgrade that is under way or was rolled back. Migrations only add, so
    this version works on with that schema.
    """
    async with connection.begin():
        await connection.run_sync(_upgrade, revision)


def migrations() -> ScriptDirectory:
    """Return the migrations that this version knows."""
    return ScriptDirectory.from_config(_configured())


def _configured() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _upgrade(connection: Connection, revision: str) -> None:
    context = MigrationContext.configure(connection, opts={"version_table": "history_version"})
    known = {each.revision for each in migrations().walk_revisions()}
    if later := set(context.get_current_heads()) - known:
        _log.warning("a later version has migrated the database of history", revision=min(later))
        return
    config = _configured()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # The driver begins transactions itself, before some statements and not before DDL. We begin them explicitly
    # instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        # Deleted or emptied content is overwritten, so that erasure is final.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _refused(description: str) -> ChaparError:
    return ChaparError(ErrorKind.INVALID, Reason.DATABASE_URL, f"{VARIABLE} {description}")
