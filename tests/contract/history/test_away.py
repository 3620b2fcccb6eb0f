"""A database that can't be reached makes only history unavailable."""

import asyncio

import pytest
from sqlalchemy import make_url

from services.chassis.errors import ChaparError
from tests.contract.history.world import eventually, running
from tests.fixtures.broker import plain_settings


@pytest.mark.postgres
@pytest.mark.parametrize("trouble", ["no such database", "no such server"])
async def test_the_replica_becomes_ready_without_it(postgres_server: str, trouble: str) -> None:
    """Reads answer UNAVAILABLE HISTORY_AWAY, the projection waits for the database, and the edges still become ready."""
    url = make_url(postgres_server)
    url = url.set(database="nowhere") if trouble == "no such database" else url.set(port=1)
    kafka = plain_settings("127.0.0.1:1", "none.")
    async with running(kafka, url.render_as_string(hide_password=False), ready_after_s=0.5) as one:
        with pytest.raises(ChaparError) as away:
            await one.history.reader.owner("acme", "c")
        assert away.value.reason == "HISTORY_AWAY"

        async def ready() -> bool:
            return one.health.component("history").ready

        await eventually(ready)
        await asyncio.wait({one.task}, timeout=1)
        assert not one.task.done()
        assert not one.history.caught_up.is_set()
