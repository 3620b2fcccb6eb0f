"""The pace of a tenant's changes, on real sockets: refused at the door, unread; reads and other tenants are not touched."""

from __future__ import annotations  # the async stubs exist in .pyi files only

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from chapar.router.v1 import router_pb2 as api
from chapar.router.v1 import router_pb2_grpc
from services.chassis.current_call import current_tenant
from services.chassis.grpc.server import grpc_server
from services.chassis.grpc.status import from_rpc_error
from services.chassis.grpc_settings import GrpcLimits
from services.chassis.lifecycle import Service, serving
from services.chassis.pacing import Rate
from services.chassis.settings import ServiceSettings
from services.chassis.tokens import mint
from tests.integration.chassis.conftest import SECRET, bearer, dev_settings

NAME = "chapar.router.v1.AgentDirectoryService"
BURST, WAITING = 3, 2
PACE = Rate(per_s=2, burst=BURST)


class Directory(router_pb2_grpc.AgentDirectoryServiceServicer):
    """Counts what reaches it, by tenant."""

    def __init__(self) -> None:
        self.changed: list[str] = []
        self.read: list[str] = []

    async def UpsertAgent(self, request: api.UpsertAgentRequest, context: Any) -> api.UpsertAgentResponse:  # noqa: N802
        self.changed.append(current_tenant())
        return api.UpsertAgentResponse()

    async def GetAgent(self, request: api.GetAgentRequest, context: Any) -> api.GetAgentResponse:  # noqa: N802
        self.read.append(current_tenant())
        return api.GetAgentResponse()


@asynccontextmanager
async def served(directory: Directory, tmp_path: Path) -> AsyncIterator[Service[ServiceSettings]]:
    @asynccontextmanager
    async def build(service: Service[ServiceSettings]) -> AsyncIterator[None]:
        register = lambda server: router_pb2_grpc.add_AgentDirectoryServiceServicer_to_server(directory, server)  # noqa: E731
        async with grpc_server(service, register, [NAME], changes=PACE):
            yield

    limits = GrpcLimits(refusal_hold_s=0, tenant_wait_s=WAITING / PACE.per_s)
    async with serving("directory", dev_settings(tmp_path, grpc_limits=limits), build) as running:
        yield running


def of(tenant: str) -> tuple[tuple[str, str], ...]:
    return bearer(mint(SECRET, "tester", tenant, ["agents.write", "agents.read"]))


async def test_changes_beyond_the_rate_never_reach_the_handler(tmp_path: Path) -> None:
    """So they are not audited either: the audit log is written around the handler. The refusal says when to come again."""
    directory = Directory()  # type: ignore[abstract]  # the other methods stay unimplemented
    async with (
        served(directory, tmp_path) as service,
        grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel,
    ):
        stub = router_pb2_grpc.AgentDirectoryServiceStub(channel)
        calls = [stub.UpsertAgent(api.UpsertAgentRequest(), metadata=of("acme"), timeout=20) for _ in range(20)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [from_rpc_error(each) for each in results if isinstance(each, grpc.aio.AioRpcError)]
        assert {each.reason for each in refused} == {"TENANT_CHANGE_RATE"}
        assert all(each.retry_after_s for each in refused)
        # A machine that halts for a moment earns the tenant another turn.
        assert BURST + WAITING <= len(directory.changed) < 12
        assert service.metrics.value("chapar_grpc_turned_away_total", "TENANT_CHANGE_RATE") == len(refused)

        await stub.UpsertAgent(api.UpsertAgentRequest(), metadata=of("beta"), timeout=5)
        assert directory.changed[-1] == "beta"
        for _ in range(20):
            await stub.GetAgent(api.GetAgentRequest(), metadata=of("acme"), timeout=5)
        assert directory.read == ["acme"] * 20
