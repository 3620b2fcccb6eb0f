"""The part of the composition root that wires the history projection."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from services.chassis.clock import Clock
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.lifecycle import Service
from services.chassis.logs import get_logger
from services.chassis.privacy.lanes import AwaitedKeys
from services.ingest.history.database import Database, database_url
from services.ingest.history.history import History
from services.ingest.history.store import Emptied
from services.ingest.settings import IngestSettings
from services.ingest.translate_erasure import OUTCOMES, outcome_record


@asynccontextmanager
async def history(
    service: Service[IngestSettings], keys: AwaitedKeys, producer: DurableProducer
) -> AsyncIterator[History]:
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
    """Reports what erasures emptied here. A report that is lost leaves the erasure's report incomplete, never the erasure."""

    async def tell(emptied: Sequence[Emptied]) -> None:
        for each in emptied:
            counts = {"messages_emptied": each.messages, "deliveries_emptied": each.deliveries}
            done = outcome_record(each.request_id, each.tenant, store, each.conversation_id, counts, clock())
            try:
                await producer.publish(OUTCOMES, each.request_id.encode(), done.SerializeToString())
            except BrokerUnavailable as error:
                get_logger(__name__).warning("an erasure's outcome is not reported", error=str(error))

    return tell
