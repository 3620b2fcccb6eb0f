"""One process of a chaos campaign: it runs the lane, and kills or stops itself at a named point. Forked by `campaign`.

The mutations are mistakes that the lane must not make; they are made here, so that the tests can show that the checker detects them.
"""

import asyncio
import logging
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

from aiokafka import AIOKafkaProducer

from services.chassis.clock import system_clock
from services.chassis.kafka.batch import Taken
from services.chassis.kafka.changelog import POSITION_KEY, Position
from services.chassis.kafka.claims import Claim
from services.chassis.kafka.contract import LaneTuning, NoMetrics
from services.chassis.kafka.ownership import Ownership
from services.chassis.kafka.partition import PartitionLane
from services.chassis.kafka.runner import LaneRunner
from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.contents import Sealed
from services.chassis.kafka.transactions.producer import TransactionalId
from services.chassis.kafka.writer import Part, Writer, WriterTuning
from services.chassis.kafka_settings import KafkaSettings
from tests.chaos.lane.fold import SPEC, Fold


def no_fence(kafka: KafkaSettings) -> None:
    """Take over without fencing the incarnation that the claim names."""

    async def nothing(self: Writer, claim: Claim, cluster: Cluster) -> None: ...

    Writer.fence = nothing  # type: ignore[method-assign] # the mutation


def no_claim(kafka: KafkaSettings) -> None:
    """Claim without a name: the next owner does not know whom to fence."""
    write = Ownership._write_claim

    async def nameless(self: Ownership, claimant: TransactionalId, claim: Claim) -> None:
        await write(self, claimant, claim.released())

    Ownership._write_claim = nameless  # type: ignore[method-assign] # the mutation


def no_release(kafka: KafkaSettings) -> None:
    """Give a partition up without saying so: the next owner fences a healthy process."""

    async def nothing(self: Ownership, now_ms: int) -> None: ...

    Ownership.release = nothing  # type: ignore[method-assign] # the mutation


def position_outside(kafka: KafkaSettings) -> None:
    """Write the position separately, after the transaction of its batch."""
    seal, durable = PartitionLane._seal, PartitionLane._durable

    def without_position(self: PartitionLane, taken: Taken, position: Position) -> Sealed:
        sealed = seal(self, taken, position)
        if not taken.records:
            return sealed
        return replace(sealed, changes={key: each for key, each in sealed.changes.items() if key != POSITION_KEY})

    async def position_after(self: PartitionLane, part: Part, taken: Taken, position: Position) -> None:
        await durable(self, part, taken, position)
        async with AIOKafkaProducer(**kafka.client_options()) as plain:
            topic = kafka.topic_prefix + SPEC.changelog_topic
            await plain.send_and_wait(topic, position.encode(), POSITION_KEY, partition=self.partition)

    PartitionLane._seal = without_position  # type: ignore[method-assign] # the mutation
    PartitionLane._durable = position_after  # type: ignore[method-assign] # the mutation


def reply_before_commit(kafka: KafkaSettings) -> None:
    """Run effects when the batch was handled, whether or not it becomes durable."""
    seal = PartitionLane._seal

    def too_early(self: PartitionLane, taken: Taken, position: Position) -> Sealed:
        effects, taken.outbox.effects = taken.outbox.effects, []
        for effect in effects:
            effect()
        return seal(self, taken, position)

    PartitionLane._seal = too_early  # type: ignore[method-assign] # the mutation


MUTATIONS = {f.__name__: f for f in (no_fence, no_claim, no_release, position_outside, reply_before_commit)}


class Fences(NoMetrics):
    """Notes in a file that this process was fenced: that may only happen to one that was stopped."""

    def __init__(self, home: str, name: str) -> None:
        self._file = os.open(f"{home}/fenced", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._name = name

    def fenced(self, lane: str, partition: int) -> None:
        os.write(self._file, f"{self._name}\n".encode())


@dataclass(frozen=True)
class Orders:
    """The instructions for one process."""

    bootstrap: str
    prefix: str
    name: str
    mutation: str
    home: str
    session_ms: int
    old_protocol: bool
    point: str
    times: int
    action: str


class SelfHarm:
    """Kill or stop this process when it passes a point for the n-th time, once."""

    def __init__(self, orders: Orders) -> None:
        self._point, self._left = orders.point, orders.times
        self._signal = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "none": None}[orders.action]

    def __call__(self, point: str) -> None:
        if point != self._point or self._signal is None:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signal)


async def main(orders: Orders) -> None:
    kafka = KafkaSettings(bootstrap_servers=orders.bootstrap, topic_prefix=orders.prefix)
    if orders.mutation:
        MUTATIONS[orders.mutation](kafka)
    replies = os.open(f"{orders.home}/replies", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def reply(number: bytes) -> None:
        os.write(replies, number + b"\n")  # one call: the line is complete or absent

    fault = SelfHarm(orders)
    tuning = LaneTuning(
        max_batch_records=25,
        session_timeout_ms=orders.session_ms,
        heartbeat_interval_ms=orders.session_ms // 8,
        rebalance_timeout_ms=orders.session_ms * 3,
        stop_timeout=3.0,
        retry_least=0.05,
        retry_most=0.5,
        fault=fault,
    )
    restored = restored_file(Path(orders.home), orders.name)
    writer = Writer(kafka, service="fold", tuning=WriterTuning(fault=fault, old_protocol=orders.old_protocol))
    runner = LaneRunner(
        SPEC,
        lambda context: Fold(context, reply),
        kafka,
        writer=writer,
        metrics=Fences(orders.home, orders.name),
        clock=system_clock,
        client_id=orders.name,
        tuning=tuning,
        on_restored=lambda now: restored.touch() if now else restored.unlink(missing_ok=True),
    )
    async with writer:
        await runner.run()


def restored_file(home: Path, name: str) -> Path:
    """Return the file that exists while a process has restored all partitions that the group has assigned to it."""
    return home / f"{name}.restored"


def obey(orders: Orders) -> None:
    """Run the forked process."""
    log = os.open(f"{orders.home}/{orders.name}.log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(main(orders))
