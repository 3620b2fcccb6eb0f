"""The whole product as `chapar run` starts it, with agents who have real sessions, for benches that send messages.

Messages arrive by `IngestService.SubmitStream`, and each message is timed from its acknowledgement to the offer's
arrival on the agent's stream. No agent accepts: at the end of a round the interactions are cancelled, so that every
round begins with idle agents.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.router.v1 import records_pb2 as pb
from services.chassis.clock import system_clock
from services.chassis.grpc.client import grpc_channel
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.cli.connection import token_for
from services.cli.desk import Desk
from services.cli.local.stack import Stack, StackOptions, running_stack
from services.cli.local.workspace import Workspace
from tests.bench.open_offers import OpenOffers
from tests.bench.rounds import LATE_S, Clocked, at_rate
from tests.bench.stand import TENANT, Cpu, a_configuration, broker_pid

AGENTS, STREAMS = 8, 32
LAGS: Final = ("chapar_lane_lag_records", "chapar_history_lag_records")


class Product:
    """Sends messages by gRPC, and receives offers at the agents' streams."""

    def __init__(self, stack: Stack, producer: DurableProducer) -> None:
        self.stack = stack
        self.offers = OpenOffers()
        self._producer = producer
        self._queues: list[asyncio.Queue[ingest_pb2.SubmitStreamRequest]] = []
        self._clocked = Clocked(0)
        self._round = 0
        self._identities: dict[str, int] = {}
        self._early: dict[str, float] = {}

    async def stream(self, stub: Any) -> None:
        """Run one of the streams on which messages are sent; each stream answers in order, so there are several."""
        queue: asyncio.Queue[ingest_pb2.SubmitStreamRequest] = asyncio.Queue()
        self._queues.append(queue)
        call = stub.SubmitStream()

        async def write() -> None:
            while True:
                await call.write(await queue.get())

        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(write())
            try:
                async for answer in call:
                    if answer.refused_reason:
                        raise RuntimeError(f"refused: {answer.refused_reason}: {answer.refused_message}")
                    self._acknowledged(answer)
            finally:
                writer.cancel()

    def _acknowledged(self, answer: ingest_pb2.SubmitStreamResponse) -> None:
        of_round, _, number_text = answer.idempotency_key.partition("/")
        if int(of_round) != self._round:
            return  # of a round that was given up
        number = int(number_text)
        identity = answer.accepted.identity_id
        self._clocked.acknowledge(number)
        self._identities[identity] = number
        if identity in self._early:  # its offer overtook the acknowledgement
            self._clocked.arrive(number)

    async def desk(self, agent: str, desk: Desk) -> None:
        """Run one agent's stream."""
        async for event in desk.events():
            for view in self.offers.handle(agent, event):
                number = self._identities.get(view.interaction.identity_id)
                if number is None:
                    self._early[view.interaction.identity_id] = time.monotonic()
                else:
                    self._clocked.arrive(number)

    async def deliver(self, rate: int, seconds: float, within_s: float = LATE_S) -> Clocked:
        """Send messages at the rate, and return when all are offered. Raises RoundIncomplete `within_s` after the
        last one was sent."""
        self._round += 1
        self._identities.clear()
        self._early.clear()
        self._clocked = clocked = Clocked(int(rate * seconds))

        async def submit(number: int) -> None:
            key = f"{self._round}/{number}"
            message = ingest_pb2.SubmitRequest(idempotency_key=key, native_id=f"customer-{key}", text="hello")
            clocked.submit(number)
            self._queues[number % STREAMS].put_nowait(ingest_pb2.SubmitStreamRequest(message=message))

        await at_rate(rate, int(rate * seconds), submit)
        await clocked.complete(within_s)
        return clocked

    async def clear(self) -> None:
        """Cancel all interactions, and return when no agent has an offer. Raises RoundIncomplete."""
        async with asyncio.TaskGroup() as tasks:
            for interaction_id in self.offers.take_interactions():
                tasks.create_task(self._cancel(interaction_id))
        await self.offers.none_left()

    async def _cancel(self, interaction_id: str) -> None:
        command = pb.RoutingCommand(
            command_id=f"cancel-{interaction_id}",
            tenant=TENANT,
            pool="default",
            issued_at_ms=system_clock(),
            cancel_interaction=pb.CancelInteraction(interaction_id=interaction_id, reason="BENCH"),
        )
        await self._producer.publish("routing.commands.v1", f"{TENANT}/default".encode(), command.SerializeToString())

    async def round(self, rate: int, seconds: float) -> list[float]:
        """Return latencies in seconds. Raises RoundIncomplete."""
        clocked = await self.deliver(rate, seconds)
        await self.clear()
        return clocked.latencies()

    def cpus(self) -> dict[str, Cpu]:
        """Return the CPU, from here on, of each service, and of the broker if it runs on this machine."""
        pids = self.stack.supervisor.pids()
        broker = broker_pid(self.stack.kafka)
        return {name: Cpu(pid) for name, pid in {**pids, "broker": broker}.items() if pid is not None}

    async def behind(self) -> int:
        """Return the number of records that lanes and projections have not read yet."""
        records = 0.0
        async with httpx.AsyncClient() as http:
            for servers in self.stack.running.endpoints.values():
                text = (await http.get(f"http://{servers['ops']}/metrics")).text
                samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
                records += sum(sample.value for sample in samples if sample.name in LAGS)
        return int(records)


@asynccontextmanager
async def a_product(workspace: Workspace, kafka: KafkaSettings) -> AsyncIterator[Product]:
    """Run the product on the given broker, sign in the agents and open the streams."""
    file = workspace.directory("config") / "bench.yaml"
    file.write_text(a_configuration(AGENTS))
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers  # where `running_stack` looks
    limits = {f"CHAPAR_INGEST_{name}_RATE": "0" for name in ("ACCOUNT", "SENDER", "TENANT")}
    limits["CHAPAR_INGEST_GRPC_LIMITS__TENANT_CALLS_PER_S"] = "0"
    options = StackOptions(config=file, environment=limits, topic_prefix=kafka.topic_prefix)
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(running_stack(workspace, options, print))
        endpoints = stack.running.endpoints
        producer = await exits.enter_async_context(DurableProducer(stack.kafka, client_id="bench"))
        product = Product(stack, producer)
        tasks = await exits.enter_async_context(asyncio.TaskGroup())
        for number in range(AGENTS):
            agent = f"a{number}"
            token = token_for(workspace, TENANT, agent_id=agent)
            desk = await exits.enter_async_context(
                Desk(endpoints["router"]["grpc"], token, agent_id=agent, state=pb.AGENT_STATE_AVAILABLE)
            )
            await desk.welcomed()
            exits.callback(tasks.create_task(product.desk(agent, desk)).cancel)
        operator = token_for(workspace, TENANT)
        channel = await exits.enter_async_context(
            grpc_channel(endpoints["ingest"]["grpc"], token=lambda _tenant: operator)
        )
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        for _ in range(STREAMS):
            exits.callback(tasks.create_task(product.stream(stub)).cancel)
        yield product
