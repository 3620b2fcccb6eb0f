"""Reads the work of a tenant from the router, for `chapar config diff` and `apply`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import grpc

from chapar.common.v1 import types_pb2
from chapar.router.v1 import router_pb2, router_pb2_grpc
from services.chassis.errors import ChaparError
from services.chassis.grpc.client import chapar_errors
from services.cli.config.impact import Work
from services.cli.connection import channel_to
from services.cli.local.workspace import Workspace

_TIMEOUT_S: Final = 5.0
_PAGE: Final = 500
_UNKNOWN_POOL: Final = "UNKNOWN_POOL"
"""The router's reason for a pool that was never activated: it has no work."""


async def read(workspace: Workspace, tenant: str, pools: Iterable[str], *, waiting: bool) -> Work:
    """Return the work of a tenant in these pools; with `waiting` also each interaction that waits.

    Raises ChaparError when the router cannot be asked, or does not answer in time.
    """
    work = Work()
    async with channel_to(workspace, "router", tenant=tenant) as channel:
        for pool in pools:
            try:
                with chapar_errors():
                    work.queues[pool] = await _queues(channel, pool)
                    work.agents[pool] = await _agents(channel, pool)
                    work.waiting[pool] = await _waiting(channel, pool) if waiting else []
            except ChaparError as error:
                if error.reason != _UNKNOWN_POOL:
                    raise
    return work


async def _queues(channel: grpc.aio.Channel, pool: str) -> list[router_pb2.QueueView]:
    request = router_pb2.ListQueuesRequest(pool=pool)
    answer = await router_pb2_grpc.RoutingServiceStub(channel).ListQueues(request, timeout=_TIMEOUT_S)
    return list(answer.queues)


async def _agents(channel: grpc.aio.Channel, pool: str) -> list[router_pb2.AgentView]:
    stub, found, cursor = router_pb2_grpc.AgentDirectoryServiceStub(channel), list[router_pb2.AgentView](), ""
    while True:
        page = types_pb2.PageRequest(size=_PAGE, cursor=cursor)
        answer = await stub.ListAgents(router_pb2.ListAgentsRequest(pool=pool, page=page), timeout=_TIMEOUT_S)
        found += answer.agents
        cursor = answer.page.next_cursor
        if not cursor:
            return found


async def _waiting(channel: grpc.aio.Channel, pool: str) -> list[router_pb2.WaitingView]:
    stub, found, cursor = router_pb2_grpc.RoutingServiceStub(channel), list[router_pb2.WaitingView](), ""
    while True:
        page = types_pb2.PageRequest(size=_PAGE, cursor=cursor)
        answer = await stub.ListWaiting(router_pb2.ListWaitingRequest(pool=pool, page=page), timeout=_TIMEOUT_S)
        found += answer.waiting
        cursor = answer.page.next_cursor
        if not cursor:
            return found
