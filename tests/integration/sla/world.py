"""A whole sla service in this process, a real broker, and a real gRPC server that stands in for the router with few
methods."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chapar.config.v1 import config_pb2 as config
from chapar.router.v1 import records_pb2 as router
from chapar.router.v1 import router_pb2
from chapar.sla.v1 import sla_pb2 as sla
from chapar.sla.v1 import sla_pb2_grpc
from services.chassis.clock import Clock, system_clock
from services.chassis.grpc.client import grpc_channel
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lifecycle import Service, serving
from services.chassis.tokens import Caller, TokenSource, read_secret, verify
from services.chassis.topics import wanted
from services.sla.settings import SlaSettings
from services.sla.wiring import build

T = TypeVar("T")
TENANT = "acme"
TOPICS = (
    *("routing.events.v1", "sla.state.v1", "sla.events.v1", "config.v1", "deadletters.v1"),
    *("routing.commands.v1", "sla.webhooks.v1", "revocations.v1", "audit.v1", "formats.v1"),
)


async def create_topics(kafka: KafkaSettings, partitions: int = 2) -> None:
    """Create the topics that sla needs, from the one table."""
    counts = dict.fromkeys(("routing.events.v1", "sla.events.v1"), partitions)
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        new = [
            NewTopic(topic.full_name, topic.partitions, 1, topic_configs=dict(topic.configs))
            for topic in wanted(kafka.topic_prefix, partitions=counts)
            if topic.topic.name in TOPICS
        ]
        await admin.create_topics(new)
    finally:
        await admin.close()


def target(kind: str, desired_ms: int, adequate_ms: int, *warn_at: float, escalate: int = 0) -> config.SlaTarget:
    """Return one target."""
    return config.SlaTarget(
        kind=config.TargetKind.Value(f"TARGET_KIND_{kind}"),
        desired_ms=desired_ms,
        adequate_ms=adequate_ms,
        warn_at=warn_at,
        escalate_priority=escalate,
    )


def configuration(*targets: config.SlaTarget, version: int = 1, tenant: str = TENANT) -> config.TenantConfiguration:
    """Return one policy for everything, round the clock."""
    policy = config.SlaPolicy(name="all", targets=targets, pause_while_customer_awaited=True)
    return config.TenantConfiguration(tenant=tenant, version=version, time_zone="UTC", sla_policies=[policy])


class FakeRouter:
    """Implements Reprioritise and Reroute. `refuse` names the code to answer with instead."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.calls: list[tuple[Caller, router_pb2.ReprioritiseRequest]] = []
        self.moved: list[router_pb2.RerouteRequest] = []
        self.asked = 0
        self.refuse: grpc.StatusCode | None = None

    async def Reprioritise(  # noqa: N802 - gRPC's name
        self, request: router_pb2.ReprioritiseRequest, context: Any
    ) -> router_pb2.ReprioritiseResponse:
        self.asked += 1
        if self.refuse is not None:
            await context.abort(self.refuse, "not now")
        metadata = dict(context.invocation_metadata())
        self.calls.append((verify(self._secret, metadata["authorization"].removeprefix("Bearer ")), request))
        return router_pb2.ReprioritiseResponse()

    async def Reroute(self, request: router_pb2.RerouteRequest, context: Any) -> router_pb2.RerouteResponse:  # noqa: N802
        self.asked += 1
        if self.refuse is not None:
            await context.abort(self.refuse, "not now")
        self.moved.append(request)
        return router_pb2.RerouteResponse()


@asynccontextmanager
async def fake_router(secret: bytes) -> AsyncIterator[tuple[FakeRouter, str]]:
    """Run a listening router, and yield it with its address."""
    servicer = FakeRouter(secret)
    server = grpc.aio.server()
    methods = {
        name: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, name),
            request_deserializer=getattr(router_pb2, f"{name}Request").FromString,
            response_serializer=getattr(router_pb2, f"{name}Response").SerializeToString,
        )
        for name in ("Reprioritise", "Reroute")
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("chapar.router.v1.RoutingService", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield servicer, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@dataclass(slots=True)
class World:
    """The environment on which a test acts."""

    kafka: KafkaSettings
    producer: DurableProducer
    router: FakeRouter
    secret_file: Path
    router_address: str
    events: list[sla.SlaEvent] = field(default_factory=list)
    _epochs: dict[str, int] = field(default_factory=dict)

    async def apply(self, document: config.TenantConfiguration) -> None:
        """Apply a configuration, like `chapar config apply`."""
        await self.producer.publish("config.v1", document.tenant.encode(), document.SerializeToString())

    async def route(
        self,
        interaction: str,
        *,
        arrived_at_ms: int = 0,
        occurred_at_ms: int = 0,
        tenant: str = TENANT,
        queue: str = "sales",
        **event: Any,
    ) -> None:
        """Write one event of the router, now."""
        now = system_clock()
        epoch = self._epochs[interaction] = self._epochs.get(interaction, 0) + 1
        record = router.RoutingEvent(
            event_id=f"{interaction}-{epoch}",
            tenant=tenant,
            pool="default",
            occurred_at_ms=occurred_at_ms or now,
            epoch=epoch,
            interaction=router.InteractionAttributes(
                interaction_id=interaction,
                conversation_id=f"c-{interaction}",
                channel="webchat",
                queue=queue,
                arrived_at_ms=arrived_at_ms or now,
            ),
            **event,
        )
        await self.producer.publish("routing.events.v1", f"c-{interaction}".encode(), record.SerializeToString())

    def settings(self, instance: str = "sla-1", **more: Any) -> SlaSettings:
        """Return the settings of a replica."""
        values: dict[str, Any] = {
            "instance": instance,
            "insecure_dev": True,
            "drain_s": 0,
            "stop_grace_s": 1,
            "router_address": self.router_address,
            "jwt": {"secret_file": str(self.secret_file)},
            "kafka": self.kafka,
        }
        return SlaSettings(**{**values, **more})

    @asynccontextmanager
    async def replica(
        self, instance: str = "sla-1", *, clock: Clock = system_clock, **more: Any
    ) -> AsyncIterator[Service[SlaSettings]]:
        """Run a replica until it is ready. `clock`: the machine's."""
        async with serving("sla", self.settings(instance, **more), build, clock=clock) as service:
            await eventually(lambda: service.health.ready, why=lambda: service.health.reasons())
            yield service

    @asynccontextmanager
    async def client(
        self, service: Service[SlaSettings], tenant: str = TENANT
    ) -> "AsyncIterator[sla_pb2_grpc.SlaServiceAsyncStub]":
        """Return a client of this tenant."""
        source = TokenSource(read_secret(self.secret_file), "test", ("sla.read",))
        async with grpc_channel(service.endpoints["grpc"], token=lambda _: source(tenant)) as channel:
            stub: sla_pb2_grpc.SlaServiceAsyncStub = sla_pb2_grpc.SlaServiceStub(channel)
            yield stub

    def told(self, interaction: str) -> list[tuple[str, str, str]]:
        """Return (target, kind, level) of an interaction's occurrences, in the order of the log."""
        return [
            (
                config.TargetKind.Name(e.target).removeprefix("TARGET_KIND_"),
                sla.SlaEventKind.Name(e.kind).removeprefix("SLA_EVENT_KIND_"),
                sla.SlaLevel.Name(e.level).removeprefix("SLA_LEVEL_").replace("UNSPECIFIED", ""),
            )
            for e in self.events
            if e.interaction_id == interaction
        ]

    async def follow(self, ready: asyncio.Event) -> None:
        """Collect sla.events.v1, committed events only."""
        async with aclosing(tail(self.kafka, "sla.events.v1", caught_up=ready.set)) as records:
            async for record in records:
                self.events.append(sla.SlaEvent.FromString(record.value or b""))


@asynccontextmanager
async def a_world(kafka: KafkaSettings, home: Path) -> AsyncIterator[World]:
    """Start topics, a producer, a router, and a reader of sla's events."""
    await create_topics(kafka)
    secret_file = home / "secret"
    secret_file.write_text(secrets.token_hex(32))
    secret = read_secret(secret_file)
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(DurableProducer(kafka, client_id="test"))
        router_, address = await stack.enter_async_context(fake_router(secret))
        world = World(kafka, producer, router_, secret_file, address)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        ready = asyncio.Event()
        reader = group.create_task(world.follow(ready))
        await ready.wait()
        try:
            yield world
        finally:
            reader.cancel()


async def eventually(
    condition: Callable[[], object], *, within_s: float = 20, why: Callable[[], object] = lambda: ""
) -> None:
    """Wait until the condition holds; fail with `why` after `within_s` seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while not condition():
        if loop.time() > until:
            raise AssertionError(f"the condition does not hold after {within_s} s: {why()}")
        await asyncio.sleep(0.02)


async def answered(ask: Callable[[], Awaitable[T]], wanted: Callable[[T], object], *, within_s: float = 15) -> T:
    """Repeat the query until the answer is as wanted; fail with the last answer after `within_s` seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while True:
        answer = await ask()
        if wanted(answer):
            return answer
        if loop.time() > until:
            raise AssertionError(f"the answer is not as wanted after {within_s} s: {answer}")
        await asyncio.sleep(0.02)
