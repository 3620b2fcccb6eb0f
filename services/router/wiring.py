"""Composition root of the router: everything that runs, in the order in which it starts. Reads top to bottom."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2, router_pb2_grpc
from services.chassis.grpc.server import grpc_server
from services.chassis.ids import random_id
from services.chassis.kafka.lane import LaneContext, LaneRunner
from services.chassis.kafka.producer import DurableProducer
from services.chassis.lifecycle import Service
from services.chassis.metrics import PrometheusLaneMetrics
from services.router.adapters.agent_service import AgentService
from services.router.adapters.command_bus import COMMANDS, CommandBus
from services.router.adapters.feed import FEED, read_feed
from services.router.adapters.gateway import Gateway
from services.router.adapters.partitions import partition_counts
from services.router.adapters.shard import SPEC, ShardProcessor
from services.router.adapters.shard_metrics import ShardMetrics
from services.router.settings import RouterSettings

_WATCH_S = 0.1
_SERVICES = tuple(router_pb2.DESCRIPTOR.services_by_name[name].full_name for name in ("AgentService",))


@asynccontextmanager
async def build(service: Service[RouterSettings]) -> AsyncIterator[None]:
    """Starts the router; leaving closes it in reverse."""
    settings, kafka, metrics = service.settings, service.settings.kafka, service.metrics
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        feed_ready = service.health.component("gateway feed")
        shards_ready = service.health.component("shards")
        counts = await partition_counts(kafka, (COMMANDS, FEED))

        # The way to the shards and back. The gateway's name is new at each start: what was for its predecessor's sessions is not for ours.
        gateway_id = f"{settings.instance}/{random_id()}"
        feed_partition = zlib.crc32(settings.instance.encode()) % counts[FEED]
        producer = await enter(DurableProducer(kafka, client_id=f"gateway@{settings.instance}"))
        bus = CommandBus(producer, gateway_id, feed_partition, service.clock)
        gateway = Gateway(bus, metrics)

        def deliver(record: pb.FeedRecord) -> None:
            if record.result.command_id:
                bus.resolve(record.result)
            else:
                gateway.deliver(record)

        feed = read_feed(kafka, feed_partition, gateway_id, deliver, lambda: feed_ready.set(True))
        await enter(service.background(feed, "gateway feed"))
        await enter(service.background(gateway.renew_leases(settings.lease_renewal_ms / 1000), "lease renewal"))

        # gRPC first, because the lane's client id tells the others at which address this replica answers.
        agents = AgentService(
            gateway,
            bus,
            bus,
            service.clock,
            metrics,
            heartbeat_ms=settings.heartbeat_ms,
            command_timeout_s=settings.command_timeout_s,
        )
        server = await enter(
            grpc_server(
                service,
                (lambda s: router_pb2_grpc.add_AgentServiceServicer_to_server(agents, s),),
                _SERVICES,
            )
        )
        service.on_drain(gateway.drain)

        # The shard lanes.
        shard_metrics = ShardMetrics(metrics)

        def processor(context: LaneContext) -> ShardProcessor:
            return ShardProcessor(context, counts[FEED], shard_metrics)

        address = settings.advertised_address or server.address
        runner = LaneRunner(
            SPEC,
            processor,
            kafka,
            clock=service.clock,
            client_id=f"router@{address}",
            metrics=PrometheusLaneMetrics(metrics),
        )
        await enter(service.background(runner.run(), "shard lanes"))
        await enter(service.background(_watch_shards(runner, shards_ready.set), "shard readiness"))
        yield


async def _watch_shards(runner: LaneRunner, ready: Callable[[bool], None]) -> None:
    """Ready when the group has assigned and everything assigned is live."""
    while True:
        ready(runner.restored)
        await asyncio.sleep(_WATCH_S)
