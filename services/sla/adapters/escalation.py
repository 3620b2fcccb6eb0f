"""A warning, or the forecast of a breach, raises the priority of its work at the router.

Reads sla.events.v1 in a consumer group of its own, at least once, so that a crash between the commit of a warning and the call loses
nothing; the event's id is the idempotency key, so that calling twice raises once. While the router is away the batch is offered again
with a growing pause. What the router refuses for good (the work is closed meanwhile) is counted and left.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from google.protobuf.message import DecodeError

from chapar.router.v1 import records_pb2, router_pb2, router_pb2_grpc
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.errors import ChaparError, Disposition
from services.chassis.grpc.client import chapar_errors, for_tenant, idempotent
from services.chassis.kafka.consumer import NotNow
from services.chassis.kafka.records import Record
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics

GROUP: Final = "sla-escalation"
REASONS: Final = {
    sla.SLA_EVENT_KIND_WARNED: "SLA_WARNING",
    sla.SLA_EVENT_KIND_PREDICTED: "SLA_PREDICTION",
}
_AT_ONCE: Final = 16
_REMEMBERED: Final = 10_000
_TIMEOUT_S: Final = 5.0


class Escalation:
    """A handler for GroupConsumer."""

    def __init__(self, router: "router_pb2_grpc.RoutingServiceAsyncStub", metrics: Metrics) -> None:
        self._router = router
        self._outcomes = metrics.counter("chapar_sla_reprioritise_total")
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._done: OrderedDict[str, None] = OrderedDict()
        self._log = get_logger(__name__)

    async def handle(self, records: list[Record]) -> None:
        """Raises NotNow when the router could not be reached for some of them: all come again."""
        waiting = [event for record in records if (event := self._warning(record)) is not None]
        if waiting:
            async with asyncio.TaskGroup() as calls:
                tasks = [calls.create_task(self._raise(event)) for event in waiting]
            if missed := sum(not task.result() for task in tasks):
                raise NotNow(f"the router took {len(tasks) - missed} of {len(tasks)} priorities")

    def _warning(self, record: Record) -> sla.SlaEvent | None:
        try:
            event = sla.SlaEvent.FromString(record.value or b"")
        except DecodeError:
            # Nobody but our own lane writes this topic: tell, and go on.
            self._log.error("event not readable", partition=record.partition, offset=record.offset)
            return None
        wanted = event.kind in REASONS and event.escalate_priority > 0
        return event if wanted and event.event_id not in self._done else None

    async def _raise(self, event: sla.SlaEvent) -> bool:
        """Whether it is settled: done, or refused for good."""
        request = router_pb2.ReprioritiseRequest(
            idempotency_key=event.event_id,
            pool=event.pool,
            reprioritise=records_pb2.Reprioritise(
                interaction_id=event.interaction_id, add=event.escalate_priority, reason=REASONS[event.kind]
            ),
        )
        metadata = (*for_tenant(event.tenant), *idempotent(event.event_id))
        async with self._slots:
            try:
                with chapar_errors():
                    await self._router.Reprioritise(request, timeout=_TIMEOUT_S, metadata=metadata)
            except ChaparError as error:
                if error.disposition is Disposition.RETRY:
                    self._outcomes.labels("retried").inc()
                    return False
                self._outcomes.labels("refused").inc()
                self._log.info(
                    "priority not raised", tenant=event.tenant, interaction_id=event.interaction_id, reason=error.reason
                )
            else:
                self._outcomes.labels("raised").inc()
        self._done[event.event_id] = None
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return True
