"""Composition root of the router: everything that runs, in the order in which it starts. Read it from top to bottom."""

import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from chapar.router.v1 import router_pb2, router_pb2_grpc
from services.chassis.audit_log import audit_trail
from services.chassis.config_reader import ConfigReader
from services.chassis.finalised import TOPIC as FORMATS
from services.chassis.finalised import finalised_formats
from services.chassis.grpc.client import ClientTls
from services.chassis.grpc.server import grpc_server
from services.chassis.grpc.trust import TOPIC as REVOCATIONS
from services.chassis.ids import random_id
from services.chassis.kafka.lane import LaneContext, LaneRunner, LaneTuning
from services.chassis.kafka.member import as_member
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.presence import kafka_presence
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.writer import Writer, WriterTuning
from services.chassis.lifecycle import Service
from services.chassis.metrics import PrometheusLaneMetrics
from services.chassis.pacing import Rate
from services.chassis.privacy.settings import keyring
from services.router.adapters.agent_service import AgentService
from services.router.adapters.command_bus import COMMANDS, CommandBus
from services.router.adapters.configured_pools import ConfiguredPools, decode
from services.router.adapters.directory_service import AgentDirectoryService
from services.router.adapters.feed import FEED, read_feed, receiver
from services.router.adapters.gateway import Gateway
from services.router.adapters.gauges import show_gauges
from services.router.adapters.mutations import Mutations
from services.router.adapters.partitions import partition_counts
from services.router.adapters.routing_service import RoutingService
from services.router.lanes.shard import SPEC, ShardProcessor
from services.router.lanes.shard_metrics import ShardMetrics
from services.router.lanes.shards import Shards
from services.router.metrics import METRICS
from services.router.settings import RouterSettings

TOPICS = (
    "config.v1",
    COMMANDS,
    FEED,
    "routing.events.v1",
    "routing.journal.v1",
    SPEC.changelog_topic,
    FORMATS,
    "outbound.v1",
    "personal.keys.v1",
    "audit.v1",
    REVOCATIONS,
    "deadletters.v1",
)
"""Topics that the router reads and writes: it starts when all of them exist. An architecture test compares them with its user's rights."""
TUNING = LaneTuning(watermark_slack=0.25)
"""A quarter of a second of commands that are not read yet is less than any lease or offer; so timers of a busy pool ask the broker rarely."""
_NAMES = ("AgentService", "RoutingService", "AgentDirectoryService")
_SERVICES = tuple(router_pb2.DESCRIPTOR.services_by_name[name].full_name for name in _NAMES)


@asynccontextmanager
async def build(service: Service[RouterSettings]) -> AsyncIterator[None]:
    """Start the router; leaving the context closes everything in reverse order."""
    settings, kafka, metrics = service.settings, service.settings.kafka, service.metrics
    metrics.declare(METRICS)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        feed_ready = service.health.component("gateway feed")
        shards_ready = service.health.component("shards")
        presence = await enter(kafka_presence(service, TOPICS))
        await presence.first()
        counts = await partition_counts(kafka, (COMMANDS, FEED))

        # The way to the shards and back. The gateway's id is new at each start: records for its predecessor's sessions are not for ours.
        gateway_id = f"{settings.instance}/{random_id()}"
        feed_partition = zlib.crc32(settings.instance.encode()) % counts[FEED]
        producer = await enter(DurableProducer(kafka, client_id=f"gateway@{settings.instance}"))
        keys = await enter(keyring(service, "router"))
        bus = CommandBus(producer, keys, gateway_id, feed_partition, service.clock)
        gateway = Gateway(bus, metrics)
        poison = Poison("router-gateway", metrics)
        feed = read_feed(
            kafka, feed_partition, gateway_id, receiver(bus, gateway), lambda: feed_ready.set(True), poison
        )
        await enter(service.background(feed, "gateway feed"))
        await enter(service.background(gateway.renew_leases(settings.lease_renewal_ms / 1000), "lease renewal"))

        configuration = ConfigReader(kafka, decode, metrics=metrics)
        await enter(service.background(configuration.run(), "configuration"))

        configured = ConfiguredPools(configuration, settings.command_timeout_s)

        # gRPC starts first, because the lane's client id carries the address at which this replica answers other replicas.
        agents = AgentService(
            gateway,
            bus,
            bus,
            configured,
            service.clock,
            metrics,
            heartbeat_ms=settings.heartbeat_ms,
            command_timeout_s=settings.command_timeout_s,
        )
        shards = await enter(Shards(kafka, counts[COMMANDS], metrics, _peer_tls(settings)))
        await enter(service.background(shards.follow_owners(), "shard owners"))
        mutations = Mutations(bus)
        routing = RoutingService(shards, mutations, configured, service.clock)
        directory = AgentDirectoryService(shards, mutations)
        audit = await enter(audit_trail(service))
        server = await enter(
            grpc_server(
                service,
                (
                    lambda s: router_pb2_grpc.add_AgentServiceServicer_to_server(agents, s),
                    lambda s: router_pb2_grpc.add_RoutingServiceServicer_to_server(routing, s),
                    lambda s: router_pb2_grpc.add_AgentDirectoryServiceServicer_to_server(directory, s),
                ),
                _SERVICES,
                audit=audit,
                changes=Rate(settings.tenant_changes_per_s, settings.tenant_changes_burst),
            )
        )
        service.on_drain(gateway.drain)

        # The shard lanes.
        formats = await enter(finalised_formats(service))
        shard_metrics = ShardMetrics(metrics)

        def processor(context: LaneContext) -> ShardProcessor:
            return ShardProcessor(context, counts[FEED], shard_metrics)

        address = settings.advertised_address or _reachable(server.address)
        runner = LaneRunner(
            SPEC,
            processor,
            kafka,
            writer=await enter(
                Writer(kafka, service="router", tuning=WriterTuning(times=service.clock, formats=formats))
            ),
            clock=service.clock,
            client_id=f"router@{address}",
            tuning=as_member(settings.lane, TUNING, SPEC.name, settings.instance),
            metrics=PrometheusLaneMetrics(metrics),
            on_restored=shards_ready.set_restored,
            on_refused=shards_ready.set_refused,
            on_hanging=shards_ready.set_hanging,
        )
        shards_ready.set_restored(False)
        shards.runner = runner
        await enter(service.background(runner.run(), "shard lanes"))
        await enter(service.background(show_gauges(runner, service.clock, metrics), "gauges"))
        yield


def _peer_tls(settings: RouterSettings) -> ClientTls | None:
    """Return how replicas call each other: with the certificate with which they serve."""
    # Not the same as tls_ca_file, which asks every caller for a certificate, also agents' desks.
    authority = settings.peer_ca_file or settings.tls_ca_file
    if not settings.tls or authority is None:
        return None
    return ClientTls(authority, settings.tls_cert_file, settings.tls_key_file, settings.peer_server_name)


def _reachable(address: str) -> str:
    """Return an address that other replicas can call: the host's name for a server that is bound to every interface."""
    host, _, port = address.rpartition(":")
    return f"{socket.gethostname()}:{port}" if host in ("0.0.0.0", "[::]", "") else address  # noqa: S104 - compared only
