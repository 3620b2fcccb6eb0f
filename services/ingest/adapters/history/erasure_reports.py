"""Reports to the topic of erasures what history has emptied."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from services.chassis.clock import Clock
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.logs import get_logger
from services.ingest.adapters.history.store import Emptied
from services.ingest.translate import headers
from services.ingest.translate.erasure import outcome_record
from services.ingest.translate.headers import OUTCOMES


def erasure_reports(
    producer: DurableProducer, store: str, clock: Clock
) -> Callable[[Sequence[Emptied]], Coroutine[Any, Any, None]]:
    """Return a callback that reports the rows emptied by erasures; `store` names this copy of history.

    If a report is lost, the erasure's report is incomplete; the erasure itself is complete.
    """

    async def report(emptied: Sequence[Emptied]) -> None:
        for each in emptied:
            counts = {"messages_emptied": each.messages, "deliveries_emptied": each.deliveries}
            done = outcome_record(each.request_id, each.tenant, store, each.conversation_id, counts, clock())
            try:
                await producer.publish(
                    OUTCOMES, each.request_id.encode(), done.SerializeToString(), headers.of_outcome(done)
                )
            except BrokerUnavailable as error:
                get_logger(__name__).warning("an erasure's outcome is not reported", error=str(error))

    return report
