"""`AgentDirectoryService`: agents and their skills."""

from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from chapar.router.v1 import router_pb2 as api
from chapar.router.v1 import router_pb2_grpc
from services.chassis.current_call import current_tenant
from services.chassis.errors import invalid
from services.policy.reading.routing import DEFAULT_POOL
from services.router.adapters.mutations import Mutations
from services.router.adapters.outcomes import refusal
from services.router.adapters.paging import after_agent, agent_of, size_of
from services.router.domain.engine import Engine
from services.router.domain.queries import views
from services.router.domain.reasons import Reason
from services.router.lanes.shards import Shards
from services.router.translate.views import from_agent

R = TypeVar("R")


class AgentDirectoryService(router_pb2_grpc.AgentDirectoryServiceServicer):
    """Serves `AgentDirectoryService`; see the module."""

    def __init__(self, shards: Shards, mutations: Mutations) -> None:
        self._shards = shards
        self._mutations = mutations

    async def UpsertAgent(self, request: api.UpsertAgentRequest, context: Any) -> api.UpsertAgentResponse:  # noqa: N802
        """Add or change an agent."""
        if not request.agent.agent_id or len(request.agent.agent_id) > 128:
            raise invalid("agent.agent_id", "is missing or longer than 128 characters")
        if any(not 0 <= level <= 1000 for level in request.agent.skills.values()):
            raise invalid("agent.skills", "a proficiency is a number from 0 to 1000")
        command = self._mutations.begin(request.agent.pool, request.idempotency_key)
        command.upsert_agent.agent.CopyFrom(request.agent)
        await self._mutations.carry_out(command)
        return api.UpsertAgentResponse()

    async def SetAgentState(  # noqa: N802
        self, request: api.SetAgentStateRequest, context: Any
    ) -> api.SetAgentStateResponse:
        """Set an agent's state, by a supervisor."""
        if not request.set.agent_id:
            raise invalid("set.agent_id", "is missing")
        command = self._mutations.begin(request.pool, request.idempotency_key)
        command.set_agent_state.CopyFrom(request.set)
        await self._mutations.carry_out(command)
        return api.SetAgentStateResponse()

    async def GetAgent(self, request: api.GetAgentRequest, context: Any) -> api.GetAgentResponse:  # noqa: N802
        """Return one agent."""
        pool = request.pool or DEFAULT_POOL

        def here(engine: Engine) -> api.GetAgentResponse:
            found = views.agent(engine, request.agent_id)
            if found is None:
                raise refusal(Reason.UNKNOWN_AGENT)
            return api.GetAgentResponse(agent=from_agent(pool, found))

        return await self._read(pool, context, here, "GetAgent", request)

    async def ListAgents(self, request: api.ListAgentsRequest, context: Any) -> api.ListAgentsResponse:  # noqa: N802
        """Return all agents, by id. The cursor is the last id."""
        pool = request.pool or DEFAULT_POOL
        size, after = size_of(request.page), agent_of(request.page.cursor)

        def here(engine: Engine) -> api.ListAgentsResponse:
            found = views.agents(engine, after, size + 1)
            answer = api.ListAgentsResponse(agents=[from_agent(pool, a) for a in found[:size]])
            if len(found) > size:
                answer.page.next_cursor = after_agent(found[size - 1].profile.agent_id)
            return answer

        return await self._read(pool, context, here, "ListAgents", request)

    async def _read(self, pool: str, context: Any, here: Callable[[Engine], R], method: str, request: Any) -> R:
        async def there(channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...], left: float) -> R:
            call = getattr(router_pb2_grpc.AgentDirectoryServiceStub(channel), method)
            answer: R = await call(request, metadata=metadata, timeout=left)
            return answer

        return await self._shards.read(current_tenant(), pool, context, here, there)
