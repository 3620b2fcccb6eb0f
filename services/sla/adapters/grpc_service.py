"""SlaService. Any replica answers any query, from its read model."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import grpc

from chapar.common.v1 import types_pb2
from chapar.sla.v1 import sla_pb2 as sla
from chapar.sla.v1 import sla_pb2_grpc
from services.chassis.clock import Clock
from services.chassis.current_call import current_tenant
from services.chassis.errors import ChaparError, ErrorKind, invalid
from services.sla.adapters.broadcast import Broadcast
from services.sla.adapters.measures_service import Measures
from services.sla.adapters.read_model import FIRST, MOST_RANKED, ReadModel
from services.sla.domain.deadlines import Deadline
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.reasons import Reason
from services.sla.translate.views import cursor_of, deadline_view, place_of, ranked_cursor_of, ranked_place_of

_WITHIN_MS: Final = 15 * 60_000
_PAGE, _MOST_PAGE = 50, 500
Context = grpc.aio.ServicerContext[Any, Any]


class SlaServicer(sla_pb2_grpc.SlaServiceServicer):
    """Implements SlaService. The tenant is the caller's; for the caller, interactions of other tenants do not exist."""

    def __init__(self, model: ReadModel, broadcast: Broadcast, clock: Clock, measures: Measures) -> None:
        self._model = model
        self._measures = measures
        self._broadcast = broadcast
        self._clock = clock

    async def GetDeadlines(self, request: sla.GetDeadlinesRequest, context: Context) -> sla.GetDeadlinesResponse:  # noqa: N802 - gRPC's name
        """Return deadlines. NOT_FOUND for an interaction that no policy covers, that was never queued, or that was
        closed too long ago."""
        if not request.interaction_id:
            raise invalid("interaction_id", "is needed")
        interaction = self._model.interaction(current_tenant(), request.interaction_id)
        if interaction is None:
            raise ChaparError(
                ErrorKind.NOT_FOUND,
                Reason.NO_DEADLINES,
                f"no deadline is known for interaction {request.interaction_id[:64]}: no policy covers it, or it was "
                "closed a while ago (then `chapar interactions show` shows its history)",
            )
        return sla.GetDeadlinesResponse(
            deadlines=[self._view(interaction, deadline) for deadline in interaction.deadlines]
        )

    async def ListAtRisk(self, request: sla.ListAtRiskRequest, context: Context) -> sla.ListAtRiskResponse:  # noqa: N802 - gRPC's name
        """Return running deadlines, ordered by the time at which the adequate level is due or by the probability of
        a breach. Paused deadlines are not at risk."""
        size = request.page.size or _PAGE
        if not 0 < size <= _MOST_PAGE:
            raise invalid("page.size", f"must be between 1 and {_MOST_PAGE}, or 0 for {_PAGE}")
        if request.within_ms < 0:
            raise invalid("within_ms", "must not be negative")
        if not 0 <= request.least_probability <= 1:
            raise invalid("least_probability", "must be between 0 and 1")
        if request.order not in (sla.AT_RISK_ORDER_UNSPECIFIED, sla.AT_RISK_ORDER_DUE, sla.AT_RISK_ORDER_PROBABILITY):
            raise invalid("order", "is not an order that this version knows")
        if request.order == sla.AT_RISK_ORDER_PROBABILITY:
            return self._ranked(request, size)
        after = place_of(request.page.cursor) if request.page.cursor else FIRST
        until = self._clock() + (request.within_ms or _WITHIN_MS)
        found: list[sla.DeadlineView] = []
        last = after
        cursor = ""
        within = self._model.at_risk(current_tenant(), after, until, request.queue)
        for looked_at, (place, interaction, deadline) in enumerate(within):
            if len(found) == size or looked_at == MOST_RANKED:
                cursor = cursor_of(last)
                break
            view = self._view(interaction, deadline)
            if view.breach_probability >= request.least_probability:
                found.append(view)
            last = place
        return sla.ListAtRiskResponse(deadlines=found, page=types_pb2.PageInfo(next_cursor=cursor))

    def _ranked(self, request: sla.ListAtRiskRequest, size: int) -> sla.ListAtRiskResponse:
        """Return a page in the order of probability as of the time of the first page. Deadlines decided meanwhile
        are gone; a deadline that has changed may appear twice or not at all."""
        as_of, rank, after = self._clock(), -1.0, FIRST
        if request.page.cursor:
            as_of, rank, after = ranked_place_of(request.page.cursor)
        until = as_of + (request.within_ms or _WITHIN_MS)
        found: list[sla.DeadlineView] = []
        cursor = ""
        for minus, place, interaction, deadline in self._model.likeliest(current_tenant(), until, request.queue, as_of):
            if -minus < request.least_probability:
                break
            if request.page.cursor and (minus, place) <= (rank, after):
                continue
            if len(found) == size:
                cursor = ranked_cursor_of(as_of, rank, after)
                break
            found.append(self._view(interaction, deadline))
            rank, after = minus, place
        return sla.ListAtRiskResponse(deadlines=found, page=types_pb2.PageInfo(next_cursor=cursor))

    async def GetServiceLevel(  # noqa: N802 - gRPC's name
        self, request: sla.GetServiceLevelRequest, context: Context
    ) -> sla.GetServiceLevelResponse:
        """Return the service level over a range of time within the last 31 days, by the half hour of the decision."""
        return self._measures.service_level(current_tenant(), request)

    async def GetMeasures(self, request: sla.GetMeasuresRequest, context: Context) -> sla.GetMeasuresResponse:  # noqa: N802 - gRPC's name
        """Return measures over a range of time within the last 31 days."""
        return self._measures.measures(current_tenant(), request)

    async def GetBacklog(self, request: sla.GetBacklogRequest, context: Context) -> sla.GetBacklogResponse:  # noqa: N802 - gRPC's name
        """Return open interactions as they are now, whether a policy covers them or not."""
        return self._measures.backlog(current_tenant(), request)

    async def WatchEvents(  # noqa: N802 - gRPC's name
        self, request: sla.WatchEventsRequest, context: Context
    ) -> AsyncIterator[sla.WatchEventsResponse]:
        """Stream events from now on. A gap after a lost connection is filled from sla.events.v1, not from here."""
        tenant, queue, kinds = current_tenant(), request.queue, frozenset(request.kinds)

        def wanted(event: sla.SlaEvent) -> bool:
            return event.tenant == tenant and (not queue or event.queue == queue) and (not kinds or event.kind in kinds)

        async with aclosing(self._broadcast.watch(wanted)) as events:
            # Send the headers at once, so that the caller knows that it misses no event from here on.
            await context.send_initial_metadata(())
            async for event in events:
                yield sla.WatchEventsResponse(event=event)

    def _view(self, interaction: TrackedInteraction, deadline: Deadline) -> sla.DeadlineView:
        plan = self._model.plan_of(interaction)
        if plan is None:
            raise ChaparError(ErrorKind.UNAVAILABLE, Reason.CATCHING_UP, "the state is still being read; try again")
        now = self._clock()
        forecast = self._model.forecast(interaction, deadline, now)
        return deadline_view(interaction, deadline, plan, self._model.time_of(plan), now, forecast)
