"""The part of the composition root that wires the history projection."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.chassis.lifecycle import Service
from services.ingest.history.database import Database, database_url
from services.ingest.history.history import History
from services.ingest.settings import IngestSettings


@asynccontextmanager
async def history(service: Service[IngestSettings]) -> AsyncIterator[History]:
    """History for the time of the block: read at once, written by whichever replica may."""
    settings, kafka = service.settings, service.settings.kafka
    # DATABASE_URL is a variable that platforms set for every process alike, so it has no prefix of ours.
    url = database_url(
        settings.database_url, os.environ, settings.state_dir, f"{kafka.topic_prefix}{settings.instance}"
    )
    async with (
        History(
            kafka,
            Database(url),
            service.metrics,
            service.health.component("history"),
            client_id=f"ingest-history@{settings.instance}",
        ) as found,
        service.background(found.run(), "history"),
    ):
        yield found
