"""The part of the composition root that wires the history projection."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from services.chassis.clock import Clock
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.lifecycle import Service
from services.chassis.logs import get_logger
from services.chassis.privacy.lanes import AwaitedKeys
from services.ingest.adapters.history.database import Database, database_url
from services.ingest.adapters.history.history import History
from services.ingest.adapters.history.store import Emptied
from services.ingest.settings import IngestSettings
from services.ingest.translate.erasure import OUTCOMES, outcome_record


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
            erased=_teller(producer, f"history@{settings.instance}", service.clock),
        ) as found,
        service.background(found.run(), "history"),
        service.background(
            found.retention(settings.history_days, settings.audit_days, service.clock).run(), "history's retention"
        ),
    ):
        yield found


def _teller(producer: DurableProducer, store: str, clock: Clock) -> Callable[[Sequence[Emptied]], Awaitable[None]]:
    """Return a callback that reports the rows emptied by erasures.

    If a report is lost, the erasure's report is incomplete; the erasure itself is complete.
    """

    async def tell(emptied: Sequence[Emptied]) -> None:
        for each in emptied:
            counts = {"messages_emptied": each.messages, "deliveries_emptied": each.deliveries}
            done = outcome_record(each.request_id, each.tenant, store, each.conversation_id, counts, clock())
            try:
                await producer.publish(OUTCOMES, each.request_id.encode(), done.SerializeToString())
            except BrokerUnavailable as error:
                get_logger(__name__).warning("an erasure's outcome is not reported", error=str(error))

    return tell
