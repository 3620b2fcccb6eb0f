"""The bare path: the same number of hops as the product, without the product.

A record is acknowledged; two processes one after the other consume it `read_committed` and produce it on in raw aiokafka
transactions (the best known way: `send_batch`, two producers taking turns, position in the same transaction; four
partitions, then one, as in the product); and a `read_committed` tail sees it.
"""

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from multiprocessing.synchronize import Event as Flag
from typing import Any, Final

import uvloop
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.chassis.clock import system_clock
from services.chassis.kafka.changelog import POSITION_KEY, Position
from services.chassis.kafka.clients import plain_reader, transactional_producer
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.cli.local.broker import tether
from tests.bench.rounds import Clocked, at_rate

IN, MID, OUT = "bare.in.v1", "bare.mid.v1", "bare.out.v1"
PARTITIONS: Final = {IN: 4, MID: 1, OUT: 1}


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
        """Return latencies in seconds. Raises RoundIncomplete."""
        self._round += 1
        self._clocked = clocked = Clocked(int(rate * seconds))
        value = bytes(300)

        async def submit(number: int) -> None:
            await self._producer.publish(IN, b"%d/%d" % (self._round, number), value)
            clocked.acknowledge(number)

        await at_rate(rate, int(rate * seconds), submit)
        await clocked.complete()
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
