"""Find the engine of a pool: here, or at the replica that owns its shard.

Owners are looked up in the lane's consumer group (a member's client id is `router@host:port`) and cached for a short time. A call that reaches a
replica which no longer owns the shard looks the owner up again. Forwarded calls are marked, so that two replicas with different information do
not forward a call to each other endlessly.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import grpc

from services.chassis.current_call import current_call
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.client import ClientTls, grpc_channel
from services.chassis.grpc.status import from_rpc_error
from services.chassis.kafka.clients import BrokerError, KafkaAccess
from services.chassis.kafka.groups import GroupDirectory
from services.chassis.kafka.lane import LaneRunner
from services.chassis.kafka.partitioning import partition_of
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.router.domain.engine import Engine
from services.router.domain.reasons import Reason
from services.router.lanes.shard import COMMANDS, SPEC, ShardProcessor

FORWARDED: Final = "x-chapar-forwarded"

_KEPT_S: Final = 2.0
_PAUSE_S: Final = 0.1
_PATIENCE_S: Final = 5.0
R = TypeVar("R")


class Shards:
    """The shards of all replicas. Use it as an async context manager; `runner` is set once it exists."""

    def __init__(self, kafka: KafkaAccess, partitions: int, metrics: Metrics, tls: ClientTls | None = None) -> None:
        self._kafka = kafka
        self._partitions = partitions
        self._metrics = metrics
        self._tls = tls
        self._stack = AsyncExitStack()
        self._owners: dict[int, str] = {}
        self._read_at = -_KEPT_S
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._log = get_logger(__name__)
        self._wanted = asyncio.Event()
        self._looked = asyncio.Condition()
        self.runner: LaneRunner | None = None

    async def __aenter__(self) -> "Shards":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def partition_of(self, tenant: str, pool: str) -> int:
        """Return the partition that Kafka's default partitioner chooses for the key of the pool's commands."""
        return partition_of(f"{tenant}/{pool}".encode(), self._partitions)

    def engine(self, tenant: str, pool: str) -> Engine | None:
        """Return the pool's engine when its shard is here; an empty engine for an unknown pool."""
        processor = self.runner.processor(self.partition_of(tenant, pool)) if self.runner is not None else None
        if not isinstance(processor, ShardProcessor):
            return None
        return processor.engines.get((tenant, pool)) or Engine()

    async def read(
        self,
        tenant: str,
        pool: str,
        context: Any,
        here: Callable[[Engine], R],
        there: Callable[[grpc.aio.Channel, tuple[tuple[str, str], ...], float], Awaitable[R]],
    ) -> R:
        """Answer from the engine if it is here, else by the owner. Raises UNAVAILABLE when the shard has no owner in time."""
        metadata = dict(context.invocation_metadata() or ())
        given_up = time.monotonic() + min(current_call().time_left() or _PATIENCE_S, _PATIENCE_S)
        fresh = False
        while True:
            engine = self.engine(tenant, pool)
            if engine is not None:
                return here(engine)
            if FORWARDED in metadata:
                raise ChaparError(
                    ErrorKind.FAILED_PRECONDITION, Reason.NOT_OWNER, "this replica no longer owns the shard"
                )
            left = given_up - time.monotonic()
            if left <= 0:
                raise ChaparError(
                    ErrorKind.UNAVAILABLE,
                    Reason.NO_OWNER,
                    "the shard is changing its owner; try again",
                    retry_after_s=1,
                )
            address = await self._owner(self.partition_of(tenant, pool), fresh=fresh)
            if address:
                own = (("authorization", str(metadata.get("authorization", ""))), (FORWARDED, "1"))
                try:
                    return await there(await self._channel(address), own, left)
                except grpc.aio.AioRpcError as error:
                    found = from_rpc_error(error)
                    if found.kind is not ErrorKind.UNAVAILABLE and found.reason != Reason.NOT_OWNER:
                        raise found from error
            fresh = True
            await asyncio.sleep(_PAUSE_S)

    async def _owner(self, partition: int, *, fresh: bool) -> str:
        """Return the address of the owner; empty while there is none."""
        if time.monotonic() - self._read_at > (_PAUSE_S if fresh else _KEPT_S):
            self._wanted.set()
            async with self._looked:
                await self._looked.wait()
        return self._owners.get(partition, "").partition("@")[2]

    async def follow_owners(self) -> None:
        """Look up owners whenever a call asks for them, until cancelled.

        This runs apart from the calls, because a call that is cancelled must not break off a connection attempt.
        """
        while True:
            try:
                async with GroupDirectory(self._kafka) as directory:
                    while True:
                        await self._wanted.wait()
                        self._owners = await directory.owners(SPEC.group, COMMANDS)
                        await self._tell()
            except (BrokerError, OSError) as error:
                self._log.warning("owners of shards can't be looked up", error=type(error).__name__)
                self._owners = {}
                await self._tell()
                await asyncio.sleep(_PAUSE_S)

    async def _tell(self) -> None:
        self._wanted.clear()
        self._read_at = time.monotonic()
        async with self._looked:
            self._looked.notify_all()

    async def _channel(self, address: str) -> grpc.aio.Channel:
        known = self._channels.get(address)
        if known is None:
            known = await self._stack.enter_async_context(grpc_channel(address, tls=self._tls, metrics=self._metrics))
            self._channels[address] = known
        return known
