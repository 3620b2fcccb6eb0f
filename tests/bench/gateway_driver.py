"""Acts as the gateway for benches of the router alone: signs agents in, and follows each offer with the rest of a life
cycle.

A life cycle is nine commands: enqueue, accept, customer's message, reply, update, customer's message, reply, complete,
end of wrap-up; and an offer between the first and the second. The last one's result begins the next life cycle.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from chapar.router.v1 import records_pb2 as pb
from services.chassis.clock import system_clock
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from tests.bench.stand import QUEUE, TENANT

AGENTS: Final = 20
GATEWAY, FEED_PARTITION = "bench-gateway", 3
COMMANDS, FEED = "routing.commands.v1", "gateway.feed.v1"
POOL_KEY: Final = f"{TENANT}/default".encode()
_SIGN_IN_S: Final = 60.0


class Driver:
    """The gateway of the bench. Commands are appended to one batch at a time, in order."""

    def __init__(self, producer: Any, topic: str, partition: int) -> None:
        self._producer, self._topic, self._partition = producer, topic, partition
        self._waiting: list[bytes] = []
        self._more = asyncio.Event()
        self._number = 0
        self.signed_in = 0
        self.all_in = asyncio.Event()
        self.completed = 0
        self.refused: dict[str, int] = {}
        self.offered_ms: list[int] = []
        self._newest = 0
        self._newer = asyncio.Event()

    def command(self, command_id: str, *, answer: bool, **body: Any) -> None:
        """Put a command into the next batch."""
        command = pb.RoutingCommand(
            command_id=command_id, tenant=TENANT, pool="default", issued_at_ms=system_clock(), **body
        )
        if answer:
            command.reply_to.gateway_id = GATEWAY
            command.reply_to.feed_partition = FEED_PARTITION
        self._waiting.append(command.SerializeToString())
        self._more.set()

    def sign_in(self, number: int) -> None:
        """Sign an agent in and keep them signed in."""
        body = pb.SignIn(agent_id=f"a{number}", session_id=f"session-{number}", state=pb.AGENT_STATE_AVAILABLE)
        self.command(f"sign-in-{number}", answer=True, sign_in=body)

    def enqueue(self) -> None:
        """Enqueue a new interaction; ids are as long as the real ones."""
        self._number += 1
        name = f"8f14e45f-ceea-5167-a1b2-{self._number:012d}"
        attributes = pb.InteractionAttributes(
            interaction_id=name,
            conversation_id=f"c{name[1:]}",
            person_id=f"p{name[1:]}",
            identity_id=f"i{name[1:]}",
            channel="grpc",
            account="default",
            language="fa",
            queue=QUEUE,
            arrived_at_ms=system_clock(),
            rule="everything",
        )
        self.command(f"{name}.enqueue", answer=False, enqueue=pb.Enqueue(interaction=attributes))

    def hear(self, record: pb.FeedRecord) -> None:
        """Handle one record of the feed."""
        kind = record.WhichOneof("record")
        if kind == "offered":
            self.offered_ms.append(record.offered.offered_at_ms - record.offered.interaction.arrived_at_ms)
            self._newest = max(self._newest, int(record.offered.interaction.interaction_id.rpartition("-")[2]))
            self._newer.set()
            self._follow(record.agent_id, record.offered)
        elif kind == "result":
            if not record.result.ok:
                self.refused[record.result.reason] = self.refused.get(record.result.reason, 0) + 1
            if record.result.command_id.endswith(".end"):
                self.completed += 1
                self.enqueue()
            elif record.result.command_id.startswith("sign-in"):
                self.signed_in += 1
                if self.signed_in == AGENTS:
                    self.all_in.set()

    async def offered_after_now(self) -> None:
        """Wait for the first offer of an interaction that is enqueued from now on."""
        until_now = self._number
        while self._newest <= until_now:
            self._newer.clear()
            await self._newer.wait()

    def _follow(self, agent: str, offer: pb.OfferView) -> None:
        name, tell_it = offer.interaction.interaction_id, self.command
        wrote, answered = pb.CustomerMessaged, pb.RecordReply
        tell_it(f"{name}.accept", answer=True, accept_offer=pb.AcceptOffer(agent_id=agent, offer_id=offer.offer_id))
        for turn in "12":
            said = wrote(interaction_id=name, message_id=f"{name}.m{turn}", at_ms=system_clock())
            tell_it(f"{name}.said{turn}", answer=False, customer_messaged=said)
            reply = answered(agent_id=agent, interaction_id=name, reply_id=f"{name}.r{turn}")
            tell_it(f"{name}.reply{turn}", answer=True, record_reply=reply)
            if turn == "1":
                labels = pb.UpdateInteraction(interaction_id=name, labels={"tier": "gold"})
                tell_it(f"{name}.update", answer=False, update_interaction=labels)
        done = pb.CompleteInteraction(agent_id=agent, interaction_id=name, disposition="solved")
        tell_it(f"{name}.complete", answer=True, complete_interaction=done)
        tell_it(f"{name}.end", answer=True, end_wrap_up=pb.EndWrapUp(agent_id=agent, interaction_id=name))

    async def write(self) -> None:
        """Write batches, forever; the next one is filled while the broker takes the last one."""
        while True:
            await self._more.wait()
            self._more.clear()
            values, self._waiting = self._waiting, []
            batch, now = self._producer.create_batch(), system_clock()
            for value in values:
                if batch.append(timestamp=now, key=POOL_KEY, value=value, headers=[]) is None:
                    await self._producer.send_batch(batch, self._topic, partition=self._partition)
                    batch = self._producer.create_batch()
                    batch.append(timestamp=now, key=POOL_KEY, value=value, headers=[])
            await (await self._producer.send_batch(batch, self._topic, partition=self._partition))


@asynccontextmanager
async def a_driver(kafka: KafkaSettings) -> AsyncIterator[Driver]:
    """Sign the agents in; yield the driver, which sends and listens until the block ends."""
    producer = AIOKafkaProducer(**kafka.client_options(), acks="all", linger_ms=0, max_batch_size=256 << 10)
    await producer.start()
    try:
        partition = await _partition_of_the_pool(kafka, producer)
        driver = Driver(producer, kafka.topic_prefix + COMMANDS, partition)
        listening = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            helpers = [tasks.create_task(_listen(kafka, driver, listening.set)), tasks.create_task(driver.write())]
            await listening.wait()
            for number in range(AGENTS):
                driver.sign_in(number)
            async with asyncio.timeout(_SIGN_IN_S):
                await driver.all_in.wait()
            yield driver
            for helper in helpers:
                helper.cancel()
    finally:
        await producer.stop()


async def _listen(kafka: KafkaSettings, driver: Driver, begun: Callable[[], None]) -> None:
    async with aclosing(tail(kafka, FEED, [FEED_PARTITION], "end", caught_up=begun)) as records:
        async for record in records:
            message = pb.FeedRecord.FromString(record.value or b"")
            if message.gateway_id == GATEWAY:
                driver.hear(message)


async def _partition_of_the_pool(kafka: KafkaSettings, producer: Any) -> int:
    """Return the partition to which Kafka's own partitioner assigns the pool's commands."""
    partitions = sorted(await producer.partitions_for(kafka.topic_prefix + COMMANDS))
    return int(producer._partitioner(POOL_KEY, partitions, partitions))
