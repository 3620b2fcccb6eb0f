"""SlaService. Any replica answers anything, from its read model."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import grpc

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.sla.v1 import sla_pb2 as sla
from chapar.sla.v1 import sla_pb2_grpc
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind, invalid
from services.chassis.grpc.context import current_tenant
from services.sla.adapters.broadcast import Broadcast
from services.sla.adapters.read_model import FIRST, ReadModel
from services.sla.domain.deadlines import Deadline
from services.sla.domain.policy import Target
from services.sla.domain.work import Work
from services.sla.translate.views import cursor_of, deadline_view, place_of, service_level_response

_WITHIN_MS: Final = 15 * 60_000
_PAGE, _MOST_PAGE = 50, 500
Context = grpc.aio.ServicerContext[Any, Any]


class SlaServicer(sla_pb2_grpc.SlaServiceServicer):
    """The tenant is the caller's; another tenant's work does not exist."""

    def __init__(self, model: ReadModel, broadcast: Broadcast, clock: Clock) -> None:
        self._model = model
        self._broadcast = broadcast
        self._clock = clock

    async def GetDeadlines(self, request: sla.GetDeadlinesRequest, context: Context) -> sla.GetDeadlinesResponse:  # noqa: N802 - gRPC's name
        """NOT_FOUND for work that no policy covers, that was never queued, or that was closed a while ago."""
        if not request.interaction_id:
            raise invalid("interaction_id", "is needed")
        work = self._model.work(current_tenant(), request.interaction_id)
        if work is None:
            raise ChaparError(
                ErrorKind.NOT_FOUND,
                "NO_DEADLINES",
                f"no promise is known for interaction {request.interaction_id[:64]}: no policy covers it, or it was "
                "closed a while ago (then `chapar interactions show` has its story)",
            )
        return sla.GetDeadlinesResponse(deadlines=[self._view(work, deadline) for deadline in work.deadlines])

    async def ListAtRisk(self, request: sla.ListAtRiskRequest, context: Context) -> sla.ListAtRiskResponse:  # noqa: N802 - gRPC's name
        """Running deadlines by the time at which the adequate level is due; paused ones are not at risk."""
        size = request.page.size or _PAGE
        if not 0 < size <= _MOST_PAGE:
            raise invalid("page.size", f"is between 1 and {_MOST_PAGE}, or 0 for {_PAGE}")
        if request.within_ms < 0:
            raise invalid("within_ms", "is not negative")
        after = place_of(request.page.cursor) if request.page.cursor else FIRST
        until = self._clock() + (request.within_ms or _WITHIN_MS)
        found: list[sla.DeadlineView] = []
        last = after
        cursor = ""
        for place, work, deadline in self._model.at_risk(current_tenant(), after, until, request.queue):
            if len(found) == size:
                cursor = cursor_of(last)
                break
            found.append(self._view(work, deadline))
            last = place
        return sla.ListAtRiskResponse(deadlines=found, page=types_pb2.PageInfo(next_cursor=cursor))

    async def GetServiceLevel(  # noqa: N802 - gRPC's name
        self, request: sla.GetServiceLevelRequest, context: Context
    ) -> sla.GetServiceLevelResponse:
        """Over the last 31 days, by UTC day of the decision."""
        number = request.target or config_pb2.TARGET_KIND_PICK_UP
        if number not in Target._value2member_map_:
            raise invalid("target", "is no target that this version knows")
        return service_level_response(
            *self._model.service_level(current_tenant(), request.queue, request.channel, Target(number))
        )

    async def WatchEvents(  # noqa: N802 - gRPC's name
        self, request: sla.WatchEventsRequest, context: Context
    ) -> AsyncIterator[sla.WatchEventsResponse]:
        """From now on; gaps after a lost connection are filled from sla.events.v1, not from here."""
        tenant, queue, kinds = current_tenant(), request.queue, frozenset(request.kinds)

        def wanted(event: sla.SlaEvent) -> bool:
            return event.tenant == tenant and (not queue or event.queue == queue) and (not kinds or event.kind in kinds)

        async with aclosing(self._broadcast.watch(wanted)) as events:
            # Headers at once: whoever watches knows that nothing from here on is missed.
            await context.send_initial_metadata(())
            async for event in events:
                yield sla.WatchEventsResponse(event=event)

    def _view(self, work: Work, deadline: Deadline) -> sla.DeadlineView:
        plan = self._model.plan_of(work)
        if plan is None:
            raise ChaparError(ErrorKind.UNAVAILABLE, "CATCHING_UP", "the state is still being read; try again")
        return deadline_view(work, deadline, plan, self._model.time_of(plan), self._clock())
