"""`RoutingService`: queues and decisions. Reads go to the shard's owner, changes to its input."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from chapar.router.v1 import router_pb2_grpc
from services.chassis.clock import Clock
from services.chassis.current_call import current_tenant
from services.chassis.errors import invalid
from services.policy.reading.routing import DEFAULT_POOL
from services.router.adapters.boards import Boards
from services.router.adapters.configured_pools import QueueHours
from services.router.adapters.mutations import Mutations
from services.router.adapters.outcomes import refusal
from services.router.adapters.paging import at_position, position_of, size_of
from services.router.domain.engine import Engine
from services.router.domain.queries import views
from services.router.domain.queries.explain import explain
from services.router.domain.reasons import Reason
from services.router.lanes.shards import Shards
from services.router.translate.views import from_estimate, from_explanation, from_queue, from_waiting

_LEAST_INTERVAL_MS: Final = 200
_INTERVAL_MS: Final = 1000
R = TypeVar("R")


class _Change(Protocol):
    """The common fields of requests that change an interaction."""

    @property
    def idempotency_key(self) -> str: ...
    @property
    def pool(self) -> str: ...
    @property
    def expected_epoch(self) -> int: ...


class RoutingService(router_pb2_grpc.RoutingServiceServicer):
    """Serves `RoutingService`; see the module."""

    def __init__(self, shards: Shards, mutations: Mutations, hours: QueueHours, clock: Clock) -> None:
        self._shards = shards
        self._mutations = mutations
        self._hours = hours
        self._clock = clock
        self._boards = Boards(_LEAST_INTERVAL_MS / 2000)

    async def GetQueue(self, request: api.GetQueueRequest, context: Any) -> api.GetQueueResponse:  # noqa: N802
        """Return one queue."""
        pool = request.pool or DEFAULT_POOL
        hours = (await self._hours.tenant(current_tenant())).hours

        def here(engine: Engine) -> api.GetQueueResponse:
            now = self._clock()
            for queue in views.queues(engine, now):
                if queue.queue == request.queue:
                    return api.GetQueueResponse(queue=from_queue(pool, queue, hours.queue_closed(queue.queue, now)))
            raise refusal(Reason.UNKNOWN_QUEUE)

        return await self._read(pool, context, here, "GetQueue", request)

    async def ListQueues(self, request: api.ListQueuesRequest, context: Any) -> api.ListQueuesResponse:  # noqa: N802
        """Return all queues of a pool."""
        pool = request.pool or DEFAULT_POOL
        hours = (await self._hours.tenant(current_tenant())).hours

        def here(engine: Engine) -> api.ListQueuesResponse:
            now = self._clock()
            found = views.queues(engine, now)
            return api.ListQueuesResponse(
                queues=[from_queue(pool, queue, hours.queue_closed(queue.queue, now)) for queue in found]
            )

        return await self._read(pool, context, here, "ListQueues", request)

    async def WatchQueues(  # noqa: N802
        self, request: api.WatchQueuesRequest, context: Any
    ) -> AsyncIterator[api.WatchQueuesResponse]:
        """Send all queues of a pool at an interval."""
        interval = request.interval_ms or _INTERVAL_MS
        if interval < _LEAST_INTERVAL_MS:
            raise invalid("interval_ms", f"is at least {_LEAST_INTERVAL_MS}")
        tenant = current_tenant()
        compute = partial(self.ListQueues, api.ListQueuesRequest(pool=request.pool), context)
        while True:
            found = await self._boards.get(tenant, request.pool, compute)
            now = self._clock()
            at = Timestamp(seconds=now // 1000, nanos=now % 1000 * 1_000_000)
            yield api.WatchQueuesResponse(queues=found.queues, at=at)
            await asyncio.sleep(interval / 1000)

    async def ListWaiting(self, request: api.ListWaitingRequest, context: Any) -> api.ListWaitingResponse:  # noqa: N802
        """Return waiting interactions. The cursor is a position: interactions that are served in between move the rest up."""
        pool = request.pool or DEFAULT_POOL
        size, first = size_of(request.page), position_of(request.page.cursor)

        def here(engine: Engine) -> api.ListWaitingResponse:
            found = list(islice(views.waiting(engine, request.queue, self._clock()), first, first + size + 1))
            answer = api.ListWaitingResponse(waiting=[from_waiting(w) for w in found[:size]])
            if len(found) > size:
                answer.page.next_cursor = at_position(first + size)
            return answer

        return await self._read(pool, context, here, "ListWaiting", request)

    async def EstimateWait(self, request: api.EstimateWaitRequest, context: Any) -> api.EstimateWaitResponse:  # noqa: N802
        """Estimate how long a new interaction would wait, and whether its queue is closed."""
        pool = request.pool or DEFAULT_POOL
        hours = (await self._hours.tenant(current_tenant())).hours

        def here(engine: Engine) -> api.EstimateWaitResponse:
            config = engine.core.config
            if config is None or request.queue not in config.by_name:
                raise refusal(Reason.UNKNOWN_QUEUE)
            now = self._clock()
            closed = hours.queue_closed(request.queue, now)
            return from_estimate(views.estimate(engine, request.queue, now), closed)

        return await self._read(pool, context, here, "EstimateWait", request)

    async def Explain(self, request: api.ExplainRequest, context: Any) -> api.ExplainResponse:  # noqa: N802
        """Explain why an interaction is where it is."""
        pool = request.pool or DEFAULT_POOL

        def here(engine: Engine) -> api.ExplainResponse:
            found = explain(engine, request.interaction_id)
            if found is None:
                raise refusal(Reason.UNKNOWN_INTERACTION)
            return from_explanation(found, engine.core.interactions[request.interaction_id].epoch)

        return await self._read(pool, context, here, "Explain", request)

    async def Reroute(self, request: api.RerouteRequest, context: Any) -> api.RerouteResponse:  # noqa: N802
        """Move an interaction."""
        command = self._begin(request, request.reroute.interaction_id, "reroute")
        command.reroute.CopyFrom(request.reroute)
        await self._mutations.carry_out(command)
        return api.RerouteResponse()

    async def Reprioritise(self, request: api.ReprioritiseRequest, context: Any) -> api.ReprioritiseResponse:  # noqa: N802
        """Change a priority, or when it should be picked up."""
        command = self._begin(request, request.reprioritise.interaction_id, "reprioritise")
        command.reprioritise.CopyFrom(request.reprioritise)
        await self._mutations.carry_out(command)
        return api.ReprioritiseResponse()

    async def Cancel(self, request: api.CancelRequest, context: Any) -> api.CancelResponse:  # noqa: N802
        """Cancel an interaction."""
        command = self._begin(request, request.cancel.interaction_id, "cancel")
        command.cancel_interaction.CopyFrom(request.cancel)
        await self._mutations.carry_out(command)
        return api.CancelResponse()

    async def Assign(self, request: api.AssignRequest, context: Any) -> api.AssignResponse:  # noqa: N802
        """Assign a waiting interaction to an agent without an offer."""
        command = self._begin(request, request.assign.interaction_id, "assign")
        if not request.assign.agent_id:
            raise invalid("assign.agent_id", "is missing")
        command.assign_interaction.CopyFrom(request.assign)
        await self._mutations.carry_out(command)
        return api.AssignResponse()

    async def RequestCallback(  # noqa: N802
        self, request: api.RequestCallbackRequest, context: Any
    ) -> api.RequestCallbackResponse:
        """Let a customer hang up and keep their place, also until a queue opens."""
        command = self._begin(request, request.callback.interaction_id, "callback")
        command.request_callback.CopyFrom(request.callback)
        if request.at_opening_of:
            if request.callback.at_ms:
                raise invalid("at_opening_of", "excludes callback.at_ms")
            command.request_callback.at_ms = await self._opening(request.at_opening_of)
        await self._mutations.carry_out(command)
        return api.RequestCallbackResponse()

    async def _opening(self, queue: str) -> int:
        """Return the next opening of a closed queue; 0 while it is open. Raises UNKNOWN_QUEUE and NO_OPENING."""
        configured = await self._hours.tenant(current_tenant())
        if queue not in configured.queues:
            raise refusal(Reason.UNKNOWN_QUEUE)
        closed = configured.hours.queue_closed(queue, self._clock())
        if closed is None:
            return 0
        if closed.opens_at_ms is None:
            raise refusal(Reason.NO_OPENING)
        return closed.opens_at_ms

    def _begin(self, request: _Change, interaction_id: str, field: str) -> pb.RoutingCommand:
        if not interaction_id:
            raise invalid(f"{field}.interaction_id", "is missing")
        command = self._mutations.begin(request.pool, request.idempotency_key)
        command.expected_epoch = request.expected_epoch
        return command

    async def _read(self, pool: str, context: Any, here: Callable[[Engine], R], method: str, request: Any) -> R:
        async def there(channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...], left: float) -> R:
            call = getattr(router_pb2_grpc.RoutingServiceStub(channel), method)
            answer: R = await call(request, metadata=metadata, timeout=left)
            return answer

        return await self._shards.read(current_tenant(), pool, context, here, there)
