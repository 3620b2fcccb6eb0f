"""A statement that is cancelled leaves no lock behind."""

import asyncio
import gc
from pathlib import Path

from sqlalchemy import text

from services.ingest.adapters.history.database import Database, database_url, migrate

WRITE = text("INSERT INTO positions (log, partition, next_offset) VALUES (:log, 0, 0)")
TURNS = 12
MANY = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT i FROM n")


async def cancelled_in(database: Database, turns: int) -> None:
    """Write and then read many rows in a transaction, and cancel this `turns` turns of the loop after the write."""
    begun = asyncio.Event()

    async def work() -> None:
        async with database.engine.connect() as connection, connection.begin():
            await connection.execute(WRITE, {"log": "cancelled"})
            begun.set()
            (await connection.execute(MANY)).all()

    task = asyncio.create_task(work())
    await begun.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_another_connection_writes_after_a_cancellation(tmp_path: Path) -> None:
    """At whatever moment it comes, and without the garbage collector."""
    async with Database(database_url(f"sqlite:///{tmp_path}/history.sqlite3", {}, "", "")) as database:
        async with database.engine.connect() as connection:
            await migrate(connection)
        gc.disable()
        try:
            for turns in range(TURNS):
                await cancelled_in(database, turns)
                async with asyncio.timeout(8), database.engine.connect() as connection, connection.begin():
                    await connection.execute(WRITE, {"log": f"after {turns}"})
        finally:
            gc.enable()
        async with database.engine.connect() as connection:
            found = (await connection.execute(text("SELECT log FROM positions ORDER BY log"))).scalars().all()
        assert found == sorted(f"after {turns}" for turns in range(TURNS))
