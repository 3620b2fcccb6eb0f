"""One process of a chaos campaign: it runs the lane, and kills or stops itself at a named point. Forked by `campaign`.

The mutations are mistakes that the lane must not make; they are made here, so that the tests can show that the checker detects them.
"""

import asyncio
import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from services.chassis.clock import system_clock
from services.chassis.kafka.changelog import POSITION_KEY, Position
from services.chassis.kafka.contract import LaneTuning
from services.chassis.kafka.partition import PartitionLane
from services.chassis.kafka.runner import LaneRunner
from services.chassis.kafka.transactions import Sealed, TakingTurns, Transaction
from services.chassis.kafka_settings import KafkaSettings
from tests.chaos.lane.fold import SPEC, Fold


def no_fencing(kafka: KafkaSettings) -> None:
    """Use transactional ids of the process instead of the partition: a takeover then fences no owner."""
    real = TakingTurns.__init__

    def own_ids(self: TakingTurns, *args: Any, name: str, **kwargs: Any) -> None:
        real(self, *args, name=f"{name}-{os.getpid()}", **kwargs)

    TakingTurns.__init__ = own_ids  # type: ignore[method-assign] # the mutation


def position_outside(kafka: KafkaSettings) -> None:
    """Write the position separately, after the transaction of its batch."""
    seal, commit = PartitionLane._seal, PartitionLane._commit

    def without_position(self: PartitionLane, taken: Any, position: Position) -> Sealed:
        sealed = seal(self, taken, position)
        changes = dict(sealed.changes)
        if taken.records:
            del changes[POSITION_KEY]
        return Sealed(sealed.outbox, changes, sealed.now_ms)

    async def position_after(self: PartitionLane, transaction: Transaction, taken: Any, position: Position) -> None:
        await commit(self, transaction, taken, position)
        async with AIOKafkaProducer(**kafka.client_options()) as plain:
            topic = kafka.topic_prefix + SPEC.changelog_topic
            await plain.send_and_wait(topic, position.encode(), POSITION_KEY, partition=self.partition)

    PartitionLane._seal = without_position  # type: ignore[method-assign] # the mutation
    PartitionLane._commit = position_after  # type: ignore[method-assign] # the mutation


def reply_before_commit(kafka: KafkaSettings) -> None:
    """Run effects when the batch has been sent, whether or not it becomes durable."""
    commit = PartitionLane._commit

    async def too_early(self: PartitionLane, transaction: Transaction, taken: Any, position: Position) -> None:
        effects, taken.outbox.effects = taken.outbox.effects, []
        for effect in effects:
            effect()
        await commit(self, transaction, taken, position)

    PartitionLane._commit = too_early  # type: ignore[method-assign] # the mutation


MUTATIONS = {f.__name__: f for f in (no_fencing, position_outside, reply_before_commit)}


@dataclass(frozen=True)
class Orders:
    """The instructions for one process."""

    bootstrap: str
    prefix: str
    name: str
    mutation: str
    home: str
    session_ms: int
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

    tuning = LaneTuning(
        max_batch_records=25,
        session_timeout_ms=orders.session_ms,
        heartbeat_interval_ms=orders.session_ms // 8,
        rebalance_timeout_ms=orders.session_ms * 3,
        stop_timeout=3.0,
        retry_least=0.05,
        retry_most=0.5,
        fault=SelfHarm(orders),
    )
    restored = restored_file(Path(orders.home), orders.name)
    runner = LaneRunner(
        SPEC,
        lambda context: Fold(context, reply),
        kafka,
        clock=system_clock,
        client_id=orders.name,
        tuning=tuning,
        on_restored=lambda now: restored.touch() if now else restored.unlink(),
    )
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
