"""From acknowledged to offered, over bare transactions: `[KAFKA_BOOTSTRAP_SERVERS=…] python -m tests.bench.hops
[seconds a round] [rate …]`.

The whole product runs as `chapar run` starts it. Messages arrive by `IngestService.SubmitStream` at a steady rate (open
loop: no message waits for another), agents with ample capacity hold real sessions, and each message is timed from its
acknowledgement to the offer's arrival on the agent's stream: edge → intake lane → router lane → feed → gateway → gRPC.

Bare means the same number of hops without the product, on the same broker in the same run: a record is acknowledged;
two processes one after the other consume it `read_committed` and produce it on in raw aiokafka transactions (the best
known way: `send_batch`, two producers taking turns, position in the same transaction; four partitions, then one, as in
the product); and a `read_committed` tail sees it.

Rounds of both alternate. The latencies of all rounds of a rate are put together, and the figure is the ratio of their
percentiles. At the end of each round the interactions are cancelled, so that every round begins with idle agents.
"""

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from multiprocessing.synchronize import Event as Flag
from typing import Any, Final

import uvloop
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.router.v1 import records_pb2 as pb
from services.chassis.clock import system_clock
from services.chassis.grpc.client import grpc_channel
from services.chassis.kafka.changelog import POSITION_KEY, Position
from services.chassis.kafka.clients import plain_reader, transactional_producer
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.cli.connection import token_for
from services.cli.desk import Desk
from services.cli.local.broker import tether
from services.cli.local.stack import Stack, StackOptions, running_stack
from services.cli.local.workspace import Workspace
from tests.bench.figures import tell
from tests.bench.stand import TENANT, a_broker, a_configuration, a_home, percentile

RATES: Final = (50, 200, 500)
ROUNDS, WARM_UP_S, WARM_UP_RATE = 2, 10.0, 200
AGENTS, STREAMS = 8, 32
GOALS: Final = {"p50": (0.5, 2), "p99": (0.99, 3)}
IN, MID, OUT = "bare.in.v1", "bare.mid.v1", "bare.out.v1"
PARTITIONS: Final = {IN: 4, MID: 1, OUT: 1}
_LATE_S: Final = 120.0

Submit = Callable[[int], Awaitable[None]]


class Clocked:
    """Times of acknowledgement and arrival, by number of the message; seconds on one clock."""

    def __init__(self, expected: int) -> None:
        self.acknowledged: dict[int, float] = {}
        self.arrived: dict[int, float] = {}
        self._expected = expected
        self.done = asyncio.Event()

    def acknowledge(self, number: int) -> None:
        self.acknowledged.setdefault(number, time.monotonic())

    def arrive(self, number: int) -> None:
        self.arrived.setdefault(number, time.monotonic())
        if len(self.arrived) >= self._expected:
            self.done.set()

    def latencies(self) -> list[float]:
        """Return the latencies of all messages; 0 for an offer that arrived before its acknowledgement was seen."""
        return [max(0.0, self.arrived[number] - at) for number, at in self.acknowledged.items()]


async def _at_rate(rate: int, count: int, submit: Submit) -> None:
    """Submit in an open loop: message n at n / rate, however long the others take."""
    begun = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            ahead = begun + number / rate - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
            tasks.create_task(_run(submit, number))


async def _run(submit: Submit, number: int) -> None:
    await submit(number)


# Bare


class BareHop:
    """One partition of one hop: waiting records go on in one transaction; the next is filled while the last one
    commits."""

    def __init__(self, kafka: KafkaSettings, name: str, target: str) -> None:
        self._target, self._state = kafka.topic_prefix + target, f"{kafka.topic_prefix}{name}.state"
        self._producers = [
            transactional_producer(
                kafka,
                transactional_id=f"{kafka.topic_prefix}{name}-{turn}",
                client_id=f"{name}-{turn}",
                transaction_timeout_ms=15_000,
                request_timeout_ms=15_000,
                max_batch_bytes=1_000_000,
            )
            for turn in "ab"
        ]
        self.waiting: asyncio.Queue[Any] = asyncio.Queue()

    async def start(self) -> None:
        for producer in self._producers:
            await producer.start()

    async def run(self) -> None:
        committing: asyncio.Future[Any] | None = None
        turn = 0
        while True:
            messages = [await self.waiting.get()]
            while not self.waiting.empty():
                messages.append(self.waiting.get_nowait())
            producer, turn = self._producers[turn], 1 - turn
            await producer.begin_transaction()
            output, state, now = producer.create_batch(), producer.create_batch(), system_clock()
            for message in messages:
                output.append(timestamp=now, key=message.key, value=message.value, headers=[])
                state.append(timestamp=now, key=message.key, value=message.value, headers=[])
            position = Position(messages[-1].offset + 1, now, 1).encode()
            state.append(timestamp=now, key=POSITION_KEY, value=position, headers=[])
            sent = [
                await producer.send_batch(output, self._target, partition=0),
                await producer.send_batch(state, self._state, partition=0),
            ]
            await asyncio.gather(*sent)
            if committing is not None:
                await committing
            committing = asyncio.ensure_future(producer.commit_transaction())


def _hop_process(kafka: KafkaSettings, source: str, target: str, ready: Flag) -> None:
    """Run one hop in a process of its own, until it is killed; it never outlives the bench, however the bench ends."""
    tether.tie_to(os.getppid())

    async def main() -> None:
        hops = [BareHop(kafka, f"{source}-{n}", target) for n in range(PARTITIONS[source])]
        for hop in hops:
            await hop.start()
        reader = plain_reader(kafka, client_id=f"hop {source}")
        await reader.start()
        places = [TopicPartition(kafka.topic_prefix + source, n) for n in range(PARTITIONS[source])]
        reader.assign(places)
        await reader.seek_to_beginning(*places)
        async with asyncio.TaskGroup() as tasks:
            for hop in hops:
                tasks.create_task(hop.run())
            ready.set()
            while True:
                for place, messages in (await reader.getmany(timeout_ms=1000)).items():
                    for message in messages:
                        hops[place.partition].waiting.put_nowait(message)

    uvloop.run(main())


class Bare:
    """The bare path."""

    def __init__(self, kafka: KafkaSettings, producer: DurableProducer) -> None:
        self._kafka, self._producer = kafka, producer
        self._clocked = Clocked(0)
        self._round = 0

    async def follow(self, begun: Callable[[], None]) -> None:
        """Read the output, forever."""
        async with aclosing(tail(self._kafka, OUT, [0], "end", caught_up=begun)) as records:
            async for record in records:
                which, _, number = (record.key or b"").partition(b"/")
                if which == b"%d" % self._round:
                    self._clocked.arrive(int(number))

    async def round(self, rate: int, seconds: float) -> list[float]:
        """Return latencies in seconds."""
        self._round += 1
        self._clocked = clocked = Clocked(int(rate * seconds))
        value = bytes(300)

        async def submit(number: int) -> None:
            await self._producer.publish(IN, b"%d/%d" % (self._round, number), value)
            clocked.acknowledge(number)

        await _at_rate(rate, int(rate * seconds), submit)
        async with asyncio.timeout(_LATE_S):
            await clocked.done.wait()
        return clocked.latencies()


@asynccontextmanager
async def bare_path(kafka: KafkaSettings) -> AsyncIterator[Bare]:
    """Create the topics, run both hops in processes of their own, and the tail."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    states = [f"{source}-{n}.state" for source in (IN, MID) for n in range(PARTITIONS[source])]
    topics = [NewTopic(kafka.topic_prefix + name, count, 1) for name, count in PARTITIONS.items()]
    await admin.create_topics([*topics, *(NewTopic(kafka.topic_prefix + name, 1, 1) for name in states)])
    await admin.close()
    spawn = multiprocessing.get_context("spawn")
    async with AsyncExitStack() as stack:
        for source, target in ((IN, MID), (MID, OUT)):
            ready = spawn.Event()
            process = spawn.Process(target=_hop_process, args=(kafka, source, target, ready), daemon=True)
            process.start()
            stack.callback(process.kill)
            if not await asyncio.to_thread(ready.wait, 60):
                raise TimeoutError(f"the bare hop {source} did not start")
        producer = await stack.enter_async_context(DurableProducer(kafka, client_id="bare"))
        path, begun = Bare(kafka, producer), asyncio.Event()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        following = tasks.create_task(path.follow(begun.set))
        stack.callback(following.cancel)
        await begun.wait()
        yield path


# The product


class Product:
    """Sends messages by gRPC, and receives offers at the agents' streams."""

    def __init__(self, producer: DurableProducer) -> None:
        self._producer = producer
        self._queues: list[asyncio.Queue[ingest_pb2.SubmitStreamRequest]] = []
        self._clocked = Clocked(0)
        self._round = 0
        self._identities: dict[str, int] = {}
        self._early: dict[str, float] = {}
        self._offered: set[str] = set()
        self._none_left = asyncio.Event()

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
        number = int(answer.idempotency_key.rpartition("/")[2])
        identity = answer.accepted.identity_id
        self._clocked.acknowledge(number)
        self._identities[identity] = number
        if identity in self._early:  # its offer overtook the acknowledgement
            self._clocked.arrive(number)

    async def desk(self, desk: Desk) -> None:
        """Run one agent's stream."""
        async for event in desk.events():
            kind = event.WhichOneof("response")
            if kind == "offered":
                interaction = event.offered.interaction
                self._offered.add(interaction.interaction_id)
                number = self._identities.get(interaction.identity_id)
                if number is None:
                    self._early[interaction.identity_id] = time.monotonic()
                else:
                    self._clocked.arrive(number)
            elif kind == "revoked":
                self._offered.discard(event.revoked.offer_id.rpartition(".")[0])
                if not self._offered:
                    self._none_left.set()

    async def round(self, rate: int, seconds: float) -> list[float]:
        """Return latencies in seconds."""
        self._round += 1
        self._identities.clear()
        self._early.clear()
        self._clocked = clocked = Clocked(int(rate * seconds))

        async def submit(number: int) -> None:
            key = f"{self._round}/{number}"
            message = ingest_pb2.SubmitRequest(idempotency_key=key, native_id=f"customer-{key}", text="hello")
            self._queues[number % STREAMS].put_nowait(ingest_pb2.SubmitStreamRequest(message=message))

        await _at_rate(rate, int(rate * seconds), submit)
        async with asyncio.timeout(_LATE_S):
            await clocked.done.wait()
        latencies = clocked.latencies()
        await self._cancel_all()
        return latencies

    async def _cancel_all(self) -> None:
        self._none_left.clear()
        async with asyncio.TaskGroup() as tasks:
            for interaction_id in self._offered:
                command = pb.RoutingCommand(
                    command_id=f"cancel-{interaction_id}",
                    tenant=TENANT,
                    pool="default",
                    issued_at_ms=system_clock(),
                    cancel_interaction=pb.CancelInteraction(interaction_id=interaction_id, reason="BENCH"),
                )
                key, value = f"{TENANT}/default".encode(), command.SerializeToString()
                tasks.create_task(_published(self._producer, key, value))
        async with asyncio.timeout(_LATE_S):
            await self._none_left.wait()


async def _published(producer: DurableProducer, key: bytes, value: bytes) -> None:
    await producer.publish("routing.commands.v1", key, value)


@asynccontextmanager
async def product_path(workspace: Workspace, stack: Stack) -> AsyncIterator[Product]:
    """Sign in the agents and open the streams."""
    endpoints = stack.running.endpoints
    async with AsyncExitStack() as exits:
        product = Product(await exits.enter_async_context(DurableProducer(stack.kafka, client_id="bench")))
        tasks = await exits.enter_async_context(asyncio.TaskGroup())
        for number in range(AGENTS):
            token = token_for(workspace, TENANT, agent_id=f"a{number}")
            desk = await exits.enter_async_context(
                Desk(endpoints["router"]["grpc"], token, agent_id=f"a{number}", state=pb.AGENT_STATE_AVAILABLE)
            )
            await desk.welcomed()
            exits.callback(tasks.create_task(product.desk(desk)).cancel)
        operator = token_for(workspace, TENANT)
        channel = await exits.enter_async_context(
            grpc_channel(endpoints["ingest"]["grpc"], token=lambda _tenant: operator)
        )
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        for _ in range(STREAMS):
            exits.callback(tasks.create_task(product.stream(stub)).cancel)
        yield product


async def run(seconds: float, rates: tuple[int, ...]) -> None:
    """Print the figures."""
    async with AsyncExitStack() as exits:
        kafka = await exits.enter_async_context(a_broker())
        workspace = exits.enter_context(a_home())
        file = workspace.directory("config") / "bench.yaml"
        file.write_text(a_configuration(AGENTS))
        os.environ["KAFKA_BOOTSTRAP_SERVERS"] = (
            kafka.bootstrap_servers
        )  # where `running_stack` looks; this process ends with the bench
        limits = {f"CHAPAR_INGEST_{name}_RATE": "0" for name in ("ACCOUNT", "SENDER", "TENANT")}
        limits["CHAPAR_INGEST_GRPC_LIMITS__TENANT_CALLS_PER_S"] = "0"
        options = StackOptions(config=file, environment=limits, topic_prefix=kafka.topic_prefix)
        stack = await exits.enter_async_context(running_stack(workspace, options, print))
        bare = await exits.enter_async_context(bare_path(stack.kafka))
        product = await exits.enter_async_context(product_path(workspace, stack))
        await bare.round(WARM_UP_RATE, min(WARM_UP_S, seconds))
        await product.round(WARM_UP_RATE, min(WARM_UP_S, seconds))
        for rate in rates:
            seen: dict[str, list[float]] = {"bare": [], "product": []}
            for _ in range(ROUNDS):
                seen["bare"] += await bare.round(rate, seconds)
                seen["product"] += await product.round(rate, seconds)
            _tell(rate, seen)


def _tell(rate: int, seen: dict[str, list[float]]) -> None:
    for name, (share, goal) in GOALS.items():
        ms = {who: 1000 * percentile(values, share) for who, values in seen.items()}
        print(f"{rate}/s {name}: bare {ms['bare']:.1f} ms, acknowledged to offered {ms['product']:.1f} ms")
        details = {f"{who}_ms": round(value, 2) for who, value in ms.items()}
        ratio = round(ms["product"] / ms["bare"], 2)
        tell(f"hop_{name}_ratio{{{rate}/s}}", ratio, "ratio", f"<={goal}", **details, n=len(seen["product"]))


def main() -> int:
    """The command line."""
    given = [float(value) for value in sys.argv[1:]]
    seconds, *rates = given or [10.0]
    uvloop.run(run(seconds, tuple(int(rate) for rate in rates) or RATES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
