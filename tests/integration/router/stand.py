"""A router on real Kafka for a test: topics, configuration, tokens, and the records that other services would write and read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb
from chapar.router.v1 import records_pb2 as pb
from services.chassis import cluster_topics
from services.chassis.clock import Clock, system_clock
from services.chassis.ids import random_id
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lifecycle import Service, serving
from services.chassis.privacy.lanes import AwaitedKeys, when_ready
from services.chassis.privacy.sealing import unseal
from services.chassis.tokens import mint
from services.router.settings import RouterSettings
from services.router.wiring import build
from tests.fakes.privacy import a_keyring

TENANT, POOL = "acme", "default"
SECRET = "0123456789abcdef0123456789abcdef"
SCOPES = ("agent.session", "routing.read", "routing.supervise", "agents.read", "agents.write")


def a_configuration(version: int = 1, agents: int = 2) -> config_pb2.TenantConfiguration:
    """Return two queues and Persian-speaking agents `agent-0`…, with three chats each."""
    skills = {"persian": 8.0}
    return config_pb2.TenantConfiguration(
        tenant=TENANT,
        version=version,
        pools=[config_pb2.Pool(name=POOL, session_lease_ms=6_000, assignment_grace_ms=20_000)],
        queues=[
            config_pb2.Queue(name="sales", pool=POOL, offer_timeout_ms=20_000),
            config_pb2.Queue(name="support", pool=POOL, offer_timeout_ms=20_000),
        ],
        capacity_profiles=[
            config_pb2.CapacityProfile(
                name="desk", total=30, channels=[config_pb2.ChannelCapacity(channel="webchat", weight=10)]
            )
        ],
        agents=[config_pb2.AgentProfile(agent_id=f"agent-{i}", pool=POOL, skills=skills) for i in range(agents)],
    )


def a_token(agent_id: str = "", ttl: float = 600) -> str:
    """Return a token with every scope of the router."""
    return mint(SECRET, agent_id or "test", TENANT, SCOPES, agent_id, ttl)


def settings_for(kafka: KafkaSettings, folder: Path, instance: str = "router-0", **more: object) -> RouterSettings:
    """Return the settings of one replica."""
    secret = folder / "jwt"
    secret.write_text(SECRET)
    values: dict[str, object] = {
        "instance": instance,
        "insecure_dev": True,
        "kafka": kafka,
        "jwt": {"secret_file": secret},
        "drain_s": 0.2,
        "stop_grace_s": 2,
        "lease_renewal_ms": 1_000,
        **more,
    }
    return RouterSettings.model_validate(values)


@dataclass
class Bench:
    """The other services around the router."""

    kafka: KafkaSettings
    producer: DurableProducer
    events: list[pb.RoutingEvent] = field(default_factory=list)
    outbound: list[ingest_pb.OutboundRecord] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def command(self, **body: object) -> str:
        """Publish a command as another service would; return its id."""
        command = pb.RoutingCommand(
            command_id=random_id(),
            tenant=TENANT,
            pool=POOL,
            issued_at_ms=system_clock(),
            **body,  # type: ignore[arg-type]
        )
        await self.producer.publish("routing.commands.v1", f"{TENANT}/{POOL}".encode(), command.SerializeToString())
        return command.command_id

    async def configure(self, config: config_pb2.TenantConfiguration | None = None) -> None:
        """Activate a configuration."""
        wanted = config or a_configuration()
        await self.command(activate_configuration=pb.ActivateConfiguration(configuration=wanted))

    async def enqueue(self, queue: str = "sales", interaction_id: str = "", channel: str = "webchat") -> str:
        """Publish a new interaction; return its id."""
        name = interaction_id or random_id()
        attributes = pb.InteractionAttributes(
            interaction_id=name,
            conversation_id=f"conversation-{name}",
            person_id=f"person-{name}",
            channel=channel,
            queue=queue,
            arrived_at_ms=system_clock(),
        )
        await self.command(enqueue=pb.Enqueue(interaction=attributes))
        return name

    async def until(self, holds: Callable[[], bool], within_s: float = 30) -> None:
        """Wait until a condition holds for the records that were read."""
        async with asyncio.timeout(within_s), self.changed:
            await self.changed.wait_for(holds)

    def story(self, interaction_id: str) -> list[str]:
        """Return the kinds of events of one interaction, in order."""
        mine = [e for e in self.events if e.interaction.interaction_id == interaction_id]
        return [e.WhichOneof("event") or "" for e in sorted(mine, key=lambda e: e.epoch)]

    async def read(self, topic: str, take: Callable[[bytes], None]) -> None:
        """Read a topic until cancelled."""
        async with aclosing(tail(self.kafka, topic)) as records:
            async for record in records:
                take(record.value or b"")
                async with self.changed:
                    self.changed.notify_all()

    async def read_replies(self, keys: AwaitedKeys) -> None:
        """Read and open the replies that agents have written, until cancelled."""
        async with aclosing(tail(self.kafka, "outbound.v1")) as records:
            async for record in records:
                reply = ingest_pb.OutboundRecord.FromString(record.value or b"")
                assert not reply.request.text, "a text in clear"
                await when_ready(keys, record)
                unseal(reply, keys, record.topic, record.key or b"")
                self.outbound.append(reply)
                async with self.changed:
                    self.changed.notify_all()


@asynccontextmanager
async def a_bench(kafka: KafkaSettings) -> AsyncIterator[Bench]:
    """Create the topics, and read events and replies."""
    await cluster_topics.apply(
        kafka, partitions={"routing.commands.v1": 2, "routing.events.v1": 2, "gateway.feed.v1": 4}
    )
    async with (
        DurableProducer(kafka, client_id="bench") as producer,
        a_keyring(kafka) as keys,
        asyncio.TaskGroup() as tasks,
    ):
        bench = Bench(kafka, producer)
        reading = [
            tasks.create_task(
                bench.read("routing.events.v1", lambda v: bench.events.append(pb.RoutingEvent.FromString(v)))
            ),
            tasks.create_task(bench.read_replies(keys)),
        ]
        try:
            yield bench
        finally:
            for task in reading:
                task.cancel()


@asynccontextmanager
async def a_router(settings: RouterSettings, *, clock: Clock = system_clock) -> AsyncIterator[Service[RouterSettings]]:
    """Run a router in this event loop, and yield it when it is ready. `clock`: the machine's."""
    async with serving("router", settings, build, clock=clock) as service:
        ready = asyncio.Event()
        service.health.on_change(lambda now: ready.set() if now else None)
        service.health.set_wired()
        async with asyncio.timeout(30):
            await ready.wait()
        yield service
