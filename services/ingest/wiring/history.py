"""The part of the composition root that wires the history projection."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.chassis.kafka.producer import DurableProducer
from services.chassis.lifecycle import Service
from services.chassis.privacy.lanes import AwaitedKeys
from services.ingest.adapters.history.database import Database, database_url
from services.ingest.adapters.history.erasure_reports import erasure_reports
from services.ingest.adapters.history.history import History
from services.ingest.settings import IngestSettings


@asynccontextmanager
async def history(
    service: Service[IngestSettings], keys: AwaitedKeys, producer: DurableProducer
) -> AsyncIterator[History]:
    """Provide history for the time of the block: readable at once, written by the replica that may fold."""
    settings, kafka = service.settings, service.settings.kafka
    # Platforms set DATABASE_URL for every process, so it does not have our prefix.
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
            keys=keys,
            erased=erasure_reports(producer, f"history@{settings.instance}", service.clock),
        ) as found,
        service.background(found.run(), "history"),
        service.background(
            found.retention(settings.history_days, settings.audit_days, service.clock).run(), "history's retention"
        ),
    ):
        yield found
