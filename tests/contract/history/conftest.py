"""The same history on both databases: a test that uses `url` runs twice."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.ingest.adapters.history.database import Database, database_url, migrate


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'history.sqlite3'}"
    else:
        yield request.getfixturevalue("postgres_url")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Yield the database, with the schema."""
    async with Database(database_url(url, {}, "", "")) as found:
        async with found.engine.connect() as connection:
            await migrate(connection)
        yield found
