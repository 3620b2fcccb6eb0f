"""Requests to the router for deadlines at risk: the priority of a warning or a forecast, and the actions of
escalations. (`notices.py` notifies webhooks.)

It reads sla.events.v1 in a consumer group of its own, at least once, so that a crash between the commit of an event and
the call loses nothing. Each call's idempotency key derives from the event's id, so a repeated call takes effect once.
While the router is unavailable, or rejects this service's token, the batch is retried with a growing pause. An
escalation that the router refuses for good (the interaction was closed meanwhile, an agent has it, the queue does not
exist) is counted and skipped.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Final

from google.protobuf.message import DecodeError

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2, router_pb2, router_pb2_grpc
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.errors import ChaparError, Disposition, ErrorKind
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
ESCALATED: Final = "SLA_ESCALATION"
_AT_ONCE: Final = 16
_REMEMBERED: Final = 10_000
_TIMEOUT_S: Final = 5.0
_OURS: Final = frozenset({ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED})
"""Refusals that say nothing about the escalation: this service's key or rights are wrong until an operator corrects
them."""


class Escalation:
    """Handler for GroupConsumer."""

    def __init__(self, router: "router_pb2_grpc.RoutingServiceAsyncStub", metrics: Metrics) -> None:
        self._router = router
        self._raised = metrics.counter("chapar_sla_reprioritise_total")
        self._outcomes = metrics.counter("chapar_sla_escalations_total")
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._done: OrderedDict[str, None] = OrderedDict()
        self._log = get_logger(__name__)

    async def handle(self, records: list[Record]) -> None:
        """Handle a batch. Raises NotNow if a call for some of the records failed for now; then all records come
        again."""
        waiting = [event for record in records if (event := self._wanted(record)) is not None]
        if waiting:
            async with asyncio.TaskGroup() as calls:
                tasks = [calls.create_task(self._settle(event)) for event in waiting]
            if missed := sum(not task.result() for task in tasks):
                raise NotNow(f"{len(tasks) - missed} of {len(tasks)} escalations were settled")

    def _wanted(self, record: Record) -> sla.SlaEvent | None:
        try:
            event = sla.SlaEvent.FromString(record.value or b"")
        except DecodeError:
            # Only the sla lanes write this topic: log it and go on.
            self._log.error("event not readable", partition=record.partition, offset=record.offset)
            return None
        raised = event.kind in REASONS and event.escalate_priority > 0
        wanted = raised or event.kind == sla.SLA_EVENT_KIND_ESCALATED
        return event if wanted and event.event_id not in self._done else None

    async def _settle(self, event: sla.SlaEvent) -> bool:
        """Return whether everything that the event asks for is settled: done, or refused for good. Repeating a call
        that is already done is harmless."""
        async with self._slots:
            if event.kind in REASONS:
                call = self._reprioritise(event, event.event_id, event.escalate_priority, REASONS[event.kind])
                outcome = await self._called(event, "priority", call)
                self._raised.labels("raised" if outcome == "done" else outcome).inc()
                settled = outcome != "retried"
            else:
                settled = await self._escalate(event)
        if settled:
            self._done[event.event_id] = None
            if len(self._done) > _REMEMBERED:
                self._done.popitem(last=False)
        return settled

    async def _escalate(self, event: sla.SlaEvent) -> bool:
        action = event.action
        outcomes: list[tuple[str, str]] = []
        if action.add_priority:
            call = self._reprioritise(event, f"{event.event_id}.priority", action.add_priority, ESCALATED)
            outcomes.append(("priority", await self._called(event, "priority", call)))
        if action.queue or action.requirements:
            outcomes.append(("route", await self._called(event, "route", self._reroute(event))))
        for kind, outcome in outcomes:
            self._outcomes.labels(kind, outcome).inc()
        return all(outcome != "retried" for _, outcome in outcomes)

    def _reprioritise(self, event: sla.SlaEvent, key: str, add: int, reason: str) -> Awaitable[object]:
        request = router_pb2.ReprioritiseRequest(
            idempotency_key=key,
            pool=event.pool,
            reprioritise=records_pb2.Reprioritise(interaction_id=event.interaction_id, add=add, reason=reason),
        )
        metadata = (*for_tenant(event.tenant), *idempotent(key))
        return self._router.Reprioritise(request, timeout=_TIMEOUT_S, metadata=metadata)

    def _reroute(self, event: sla.SlaEvent) -> Awaitable[object]:
        key = f"{event.event_id}.route"
        request = router_pb2.RerouteRequest(
            idempotency_key=key,
            pool=event.pool,
            reroute=records_pb2.Reroute(
                interaction_id=event.interaction_id,
                queue=event.action.queue,
                add_requirements=event.action.requirements,
                # A pick-up target concerns an interaction without an agent: an agent who has it by now keeps it.
                waiting_only=event.target == config_pb2.TARGET_KIND_PICK_UP,
            ),
        )
        metadata = (*for_tenant(event.tenant), *idempotent(key))
        return self._router.Reroute(request, timeout=_TIMEOUT_S, metadata=metadata)

    async def _called(self, event: sla.SlaEvent, kind: str, call: Awaitable[object]) -> str:
        """Return `done`, `refused` (for good) or `retried` (later)."""
        try:
            with chapar_errors():
                await call
        except ChaparError as error:
            if error.disposition is Disposition.RETRY or error.kind in _OURS:
                return "retried"
            self._log.info(
                "escalation refused",
                kind=kind,
                tenant=event.tenant,
                interaction_id=event.interaction_id,
                reason=error.reason,
            )
            return "refused"
        return "done"
