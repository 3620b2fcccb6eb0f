"""Whole interactions at a steady rate for the bench of scaling: a customer writes, an agent accepts, replies and completes.

Pools are named so that each partition of `routing.commands.v1` has one, and each pool has a queue, an account and agents
of its own. So the work spreads over router replicas as it does for an installation with many pools.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiokafka.partitioner import murmur2

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.router.v1 import records_pb2 as pb
from services.chassis.grpc.client import grpc_channel
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import LANE_PARTITIONS
from services.cli.connection import token_for
from services.cli.desk import Desk
from services.cli.local.stack import Stack, StackOptions, running_stack
from services.cli.local.workspace import Workspace
from tests.bench.rounds import LATE_S, RoundIncomplete, at_rate
from tests.bench.stand import TENANT, Cpu, broker_pid

AGENTS_A_POOL, STREAMS = 3, 16
REPLY: Final = "Yes, it was sent this morning and arrives tomorrow."
QUESTION: Final = "Where is my order? It has not arrived yet."
_POSITIVE: Final = 0x7FFFFFFF


def pools() -> list[str]:
    """Return the name of a pool for each partition, in the order of the partitions."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < LANE_PARTITIONS:
        name = f"p{number}"
        found.setdefault((murmur2(f"{TENANT}/{name}".encode()) & _POSITIVE) % LANE_PARTITIONS, name)
        number += 1
    return [found[partition] for partition in range(LANE_PARTITIONS)]


def configuration() -> str:
    """Return the configuration of the bench's tenant: three SLA targets on every interaction, no surveys."""
    names = pools()
    agents = [(f"{pool}-a{number}", pool) for pool in names for number in range(AGENTS_A_POOL)]
    lines = [
        f"tenant: {TENANT}",
        "default_language: en",
        "time_zone: UTC",
        "default_region: IR",
        "pools:",
        *(f"  - {{name: {pool}, session_lease: 1h, assignment_grace: 1h}}" for pool in names),
        "queues:",
        *(f"  - {{name: q-{pool}, pool: {pool}, titles: {{en: {pool}}}, offer_timeout: 1h}}" for pool in names),
        "capacity_profiles:",
        "  - {name: wide, total: 10000, default_weight: 1}",
        "agents:",
        *(f"  - {{agent_id: {agent}, display_name: {agent}, pool: {pool}}}" for agent, pool in agents),
        "rules:",
        *(f"""  - {{name: {pool}, when: 'account == "{pool}"', queue: q-{pool}}}""" for pool in names),
        "channels:",
        *(f"  - {{channel: grpc, account: {pool}}}" for pool in names),
        "sla_policies:",
        "  - name: all",
        "    targets:",
        *(
            f"      - {{kind: {kind}, desired: 2h, adequate: 4h, warn_at: [0.75]}}"
            for kind in ("pick_up", "first_response", "resolution")
        ),
    ]
    return "\n".join(lines) + "\n"


class Load:
    """Sends the customers' messages and plays the agents. Counts completed interactions."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.completed = 0
        self._pools = pools()
        self._queues: list[asyncio.Queue[ingest_pb2.SubmitStreamRequest]] = []
        self._round = 0
        self._exchanges = 1
        self._customer: dict[str, asyncio.Future[str]] = {}
        """Customers by identity, from the acknowledgement of their first message."""
        self._wrote: dict[str, asyncio.Event] = {}
        """Set when the customer of this interaction has written again."""
        self._changed = asyncio.Event()

    def _known(self, identity: str) -> asyncio.Future[str]:
        return self._customer.setdefault(identity, asyncio.get_running_loop().create_future())

    async def stream(self, stub: Any) -> None:
        """Run one of the streams on which messages are sent."""
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
                    known = self._known(answer.accepted.identity_id)
                    if not known.done():
                        known.set_result(answer.idempotency_key.partition("#")[0])
            finally:
                writer.cancel()

    def _send(self, customer: str, number: int) -> None:
        """Send message `number` of a customer; a customer's messages go on one stream, so that their order is kept."""
        place = int(customer.rpartition("/")[2])
        message = ingest_pb2.SubmitRequest(
            idempotency_key=f"{customer}#{number}",
            account=self._pools[place % len(self._pools)],
            native_id=customer,
            text=QUESTION,
        )
        self._queues[place % STREAMS].put_nowait(ingest_pb2.SubmitStreamRequest(message=message))

    async def desk(self, desk: Desk) -> None:
        """Play one agent."""
        async with asyncio.TaskGroup() as tasks:
            async for event in desk.events():
                match event.WhichOneof("response"):
                    case "offered":
                        tasks.create_task(self._done(desk.accept(event.offered.offer_id)))
                    case "assigned" if not event.assigned.wrapping_up:
                        tasks.create_task(self._serve(desk, event.assigned.interaction))
                    case "customer_acted":
                        if (wrote := self._wrote.get(event.customer_acted.interaction_id)) is not None:
                            wrote.set()
                    case _:
                        continue

    async def _done(self, request: Any) -> None:
        result = await request
        if not result.ok:
            raise RuntimeError(f"refused: {result.reason}")

    async def _serve(self, desk: Desk, interaction: Any) -> None:
        name = interaction.interaction_id
        wrote = self._wrote[name] = asyncio.Event()
        await self._done(desk.reply(name, REPLY))
        if self._exchanges > 1:
            customer = await self._known(interaction.identity_id)
            for number in range(1, self._exchanges):
                wrote.clear()
                self._send(customer, number)
                await wrote.wait()
                await self._done(desk.reply(name, REPLY))
        await self._done(desk.complete(name, "solved"))
        del self._wrote[name]
        self._customer.pop(interaction.identity_id, None)
        self.completed += 1
        self._changed.set()

    async def deliver(self, rate: float, seconds: float, exchanges: int = 1) -> None:
        """Open interactions at the rate, and return when all are completed. Raises RoundIncomplete."""
        self._round += 1
        self._exchanges = exchanges
        wanted = self.completed + int(rate * seconds)

        async def open_one(number: int) -> None:
            self._send(f"{self._round}/{number}", 0)

        await at_rate(rate, int(rate * seconds), open_one)
        try:
            async with asyncio.timeout(LATE_S):
                while self.completed < wanted:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            missing = wanted - self.completed
            raise RoundIncomplete(f"{missing} of {int(rate * seconds)} interactions were not completed") from error

    def cpus(self) -> dict[str, Cpu]:
        """Return the CPU, from here on, of each process, and of the broker."""
        broker = broker_pid(self.stack.kafka)
        assert broker is not None
        return {name: Cpu(pid) for name, pid in {**self.stack.supervisor.pids(), "broker": broker}.items()}


@asynccontextmanager
async def a_load(workspace: Workspace, kafka: KafkaSettings, replicas: int) -> AsyncIterator[Load]:
    """Run the product with this number of replicas of every service, sign in the agents and open the streams."""
    file = workspace.directory("config") / "bench.yaml"
    file.write_text(configuration())
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers  # where `running_stack` looks
    limits = {f"CHAPAR_INGEST_{name}_RATE": "0" for name in ("ACCOUNT", "SENDER", "TENANT")}
    limits["CHAPAR_INGEST_GRPC_LIMITS__TENANT_CALLS_PER_S"] = "0"
    options = StackOptions(
        config=file,
        routers=replicas,
        ingests=replicas,
        slas=replicas,
        feedbacks=replicas,
        environment=limits,
        topic_prefix=kafka.topic_prefix,
    )
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(running_stack(workspace, options, print))
        endpoints = stack.running.endpoints
        load = Load(stack)
        tasks = await exits.enter_async_context(asyncio.TaskGroup())
        addresses = Counter[str]()
        routers = [servers["grpc"] for name, servers in endpoints.items() if name.startswith("router")]
        for pool in pools():
            for number in range(AGENTS_A_POOL):
                agent = f"{pool}-a{number}"
                token = token_for(workspace, TENANT, agent_id=agent)
                address = routers[addresses.total() % len(routers)]
                addresses[address] += 1
                desk = await exits.enter_async_context(
                    Desk(address, token, agent_id=agent, pool=pool, state=pb.AGENT_STATE_AVAILABLE)
                )
                await desk.welcomed()
                exits.callback(tasks.create_task(load.desk(desk)).cancel)
        operator = token_for(workspace, TENANT)
        ingests = [servers["grpc"] for name, servers in endpoints.items() if name.startswith("ingest")]
        for number in range(STREAMS):
            channel = await exits.enter_async_context(
                grpc_channel(ingests[number % len(ingests)], token=lambda _tenant: operator)
            )
            stub = ingest_pb2_grpc.IngestServiceStub(channel)
            exits.callback(tasks.create_task(load.stream(stub)).cancel)
        yield load
