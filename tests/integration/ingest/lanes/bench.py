"""Ingest's lanes on real Kafka for a test: topics, a process with the lanes, the records that edges and gateways would
write, and readers of the outputs.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis import cluster_topics, topics
from services.chassis.ids import derive
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.keys import tenant_key
from services.chassis.privacy.keyring import Keyring
from services.chassis.privacy.lanes import when_ready
from services.chassis.privacy.sealing import unseal
from services.cli.local.providers import HttpProvider, MailRelay
from tests.fakes.privacy import a_keyring
from tests.integration.ingest.lanes.builders import TENANT, accounts

_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "conversations.v1": records_pb2.ConversationRecord.FromString,
    "deliveries.v1": records_pb2.DeliveryRecord.FromString,
    "inbound.v1": records_pb2.InboundRecord.FromString,
    "routing.commands.v1": router_pb2.RoutingCommand.FromString,
    "deadletters.v1": bytes,
}


def a_configuration(
    provider: HttpProvider, relay: MailRelay, sends_per_second: float = 0.0
) -> config_pb2.TenantConfiguration:
    """Accounts that point at the counterparts; all interactions go to one queue. `sends_per_second` 0: as fast as the
    machine can."""
    configured = [
        config_pb2.ChannelAccount(
            channel=channel,
            account=policy.account,
            settings=dict(policy.settings),
            secrets=dict(policy.secrets),
            sends_per_second=sends_per_second or policy.sends_per_second,
        )
        for channel, policy in accounts(provider, relay).items()
    ]
    return config_pb2.TenantConfiguration(
        tenant=TENANT,
        version=1,
        default_language="fa",
        pools=[config_pb2.Pool(name="main")],
        queues=[config_pb2.Queue(name="general", pool="main")],
        channels=[*configured, config_pb2.ChannelAccount(channel="webchat", account="main")],
    )


@dataclass
class Bench:
    """Writes records as the other services do, and reads the lanes' outputs."""

    kafka: KafkaSettings
    bootstrap: str
    folder: Path
    producer: DurableProducer
    keys: Keyring
    provider: HttpProvider
    relay: MailRelay
    sends_per_second: float = 0.0
    seen: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in _DECODERS})
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    # ---- processes

    @asynccontextmanager
    async def process(self, instance: str, batches: int = 0) -> AsyncIterator[asyncio.subprocess.Process]:
        """Yield a process with the lanes, ready; it is killed at the end if it still runs. `batches`: it kills itself at
        this batch of the relay."""
        file = self.folder / "configuration"
        file.write_bytes(a_configuration(self.provider, self.relay, self.sends_per_second).SerializeToString())
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.ingest.lanes.lanes_process",
            self.bootstrap,
            self.kafka.topic_prefix,
            str(file),
            instance,
            str(batches),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": ".:protos"},
        )
        try:
            assert running.stdout is not None
            async with asyncio.timeout(40):
                assert await running.stdout.readline() == b"ready\n"
            yield running
        finally:
            if running.returncode is None:
                running.kill()
            await running.wait()

    # ---- records of others

    async def customer(self, channel: str, number: int, text: str, *, repeat: int = 1) -> str:
        """Write a customer's first message, perhaps more than once; returns its conversation."""
        native_id = f"{number}"
        identity = records_pb2.Identity(
            identity_id=derive(TENANT, channel, "main", native_id),
            tenant=TENANT,
            channel=channel,
            account="main",
            native_id=native_id if channel != "email" else f"c{number}@mail.example",
        )
        message_id = derive(identity.identity_id, "m1", "0")
        record = records_pb2.InboundRecord(
            tenant=TENANT,
            message=records_pb2.CustomerMessage(
                message_id=message_id,
                identity=identity,
                native_message_id="m1",
                kind=records_pb2.MESSAGE_KIND_TEXT,
                text=text,
                reply_context={"chat_id": native_id} if channel == "telegram" else {},
            ),
        )
        for _ in range(repeat):
            await self.producer.publish(
                "inbound.v1", tenant_key(TENANT, identity.identity_id), record.SerializeToString()
            )
        return derive("conversation", message_id)

    async def reply(self, conversation_id: str, text: str, request_id: str, *, repeat: int = 1) -> str:
        """Write an agent's reply; returns the delivery's id."""
        record = records_pb2.OutboundRecord(
            tenant=TENANT,
            conversation_id=conversation_id,
            request=records_pb2.OutboundRequest(
                request_id=request_id,
                tenant=TENANT,
                conversation_id=conversation_id,
                text=text,
                purpose=records_pb2.OUTBOUND_PURPOSE_REPLY,
                author_kind=types_pb2.ACTOR_KIND_AGENT,
                author_id="sara",
            ),
        )
        for _ in range(repeat):
            await self.producer.publish("outbound.v1", tenant_key(TENANT, conversation_id), record.SerializeToString())
        return derive(TENANT, request_id)

    async def routed(self, interaction: router_pb2.InteractionAttributes, *kinds: str) -> None:
        """Write routing events of an interaction, as the router does."""
        for kind in kinds:
            event = router_pb2.RoutingEvent(
                event_id=derive("event", kind, interaction.interaction_id),
                tenant=TENANT,
                occurred_at_ms=interaction.arrived_at_ms,
                interaction=interaction,
            )
            getattr(event, kind).SetInParent()
            key = tenant_key(TENANT, interaction.conversation_id)
            await self.producer.publish("routing.events.v1", key, event.SerializeToString())

    # ---- outputs

    async def until(self, holds: Callable[[], bool], within_s: float = 60) -> None:
        """Wait until a condition on the read records holds. Raises TimeoutError."""
        async with asyncio.timeout(within_s), self.changed:
            await self.changed.wait_for(holds)

    def enqueued(self) -> list[router_pb2.InteractionAttributes]:
        """Return the interactions that the router received."""
        commands = self.seen["routing.commands.v1"]
        return [c.enqueue.interaction for c in commands if c.WhichOneof("command") == "enqueue"]

    def texts(self, author_kind: int) -> list[str]:
        """Return the texts in the conversations, by kind of author."""
        records = [r.message for r in self.seen["conversations.v1"] if r.WhichOneof("record") == "message"]
        return [m.text for m in records if m.author_kind == author_kind]

    def closed(self) -> int:
        """Return the number of records that close an interaction."""
        return sum(record.WhichOneof("record") == "interaction_closed" for record in self.seen["conversations.v1"])

    def states(self, delivery_id: str) -> list[str]:
        """Return the states of a delivery, in order."""
        name = records_pb2.DeliveryState.Name
        mine = [d for d in self.seen["deliveries.v1"] if d.delivery_id == delivery_id]
        return [name(d.state).removeprefix("DELIVERY_STATE_") for d in mine]

    async def read(self, topic: str) -> None:
        """Follow a topic until cancelled."""
        async with aclosing(tail(self.kafka, topic, client_id="bench")) as records:
            async for record in records:
                if record.value is not None:
                    async with self.changed:
                        found = _DECODERS[topic](record.value)
                        if hasattr(found, "sealed"):
                            await when_ready(self.keys, record)
                            unseal(found, self.keys, topic, record.key or b"")
                        self.seen[topic].append(found)
                        self.changed.notify_all()


@asynccontextmanager
async def bench(bootstrap: str, kafka: KafkaSettings, folder: Path) -> AsyncIterator[Bench]:
    """Create topics, start readers and counterparts."""
    await cluster_topics.apply(
        kafka,
        partitions={name: 2 for name, topic in topics.TOPICS.items() if topic.partitions > 2 and not topic.follows},
    )
    async with (
        HttpProvider() as provider,
        MailRelay() as relay,
        DurableProducer(kafka, client_id="bench") as producer,
        a_keyring(kafka, name="bench") as keys,
        asyncio.TaskGroup() as readers,
    ):
        made = Bench(kafka, bootstrap, folder, producer, keys, provider, relay)
        reading = [readers.create_task(made.read(topic)) for topic in _DECODERS]
        try:
            yield made
        finally:
            for task in reading:
                task.cancel()
