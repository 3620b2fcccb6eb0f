"""Faults of records, groups and load: poison on every topic, a storm of rebalances, more customers than the agents can serve."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from services.chassis.topics import TOPICS
from tests.chaos.campaign.stage import Scene
from tests.chaos.history.topics import SCHEMAS

GROUPS: Final[dict[str, str]] = {
    "router": "routing.commands.v1",
    "sla": "routing.events.v1",
    "feedback": "feedback.commands.v1",
    "ingest-intake": "inbound.v1",
    "ingest-sender": "outbound.v1",
}
"""The groups of the lanes, and their inputs."""
JOINS: Final = 16
AT_ONCE: Final = 8
_UNKNOWN_FIELD: Final = b"\xfa\x3f\x01x"
"""Field 1023 of some later version."""
_LARGE: Final = 700_000
_JOURNAL: Final = "routing.journal.v1"
"""No service reads it; a replay refuses a journal with records of another writer, as it should."""


def poison(topic: str) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield keys and values that no sound writer would write."""
    yield b"demo/poison", b"\xff\xff\xff\xff\xff"
    yield b"\xff\xfe\xfd", b"\x08\x96\x01"
    yield None, b"no key"
    yield b"demo/poison", b""
    yield b"demo/poison", None
    yield b"\xff\xfe", None
    yield b"demo/poison", _UNKNOWN_FIELD
    yield b"demo/poison", b"x" * _LARGE
    if topic in SCHEMAS:
        message = SCHEMAS[topic](tenant="demo") if "tenant" in SCHEMAS[topic].DESCRIPTOR.fields_by_name else None
        if message is not None:
            yield b"demo/poison", message.SerializeToString() + _UNKNOWN_FIELD
            yield b"bank/poison", message.SerializeToString()
            yield b"demo/poison", message.SerializeToString()[:-1]


async def poison_everywhere(scene: Scene) -> None:
    """Write poison to each topic that a service reads and that is not a changelog, into each partition."""
    kafka = scene.direct
    producer = AIOKafkaProducer(**kafka.client_options(), acks="all", max_request_size=1 << 20)
    await producer.start()
    try:
        for name in [name for name, topic in TOPICS.items() if topic.schema and name != _JOURNAL]:
            partitions = await producer.partitions_for(kafka.topic_prefix + name)
            for partition in sorted(partitions):
                for key, value in poison(name):
                    if key is None and TOPICS[name].compact:
                        continue  # the broker refuses it
                    where = await producer.send_and_wait(kafka.topic_prefix + name, value, key, partition=partition)
                    scene.injected.add((name, partition, where.offset))
    finally:
        await producer.stop()


async def rebalance_storm(scene: Scene) -> None:
    """Let strangers join and leave the groups of all lanes, eight at a time: each takes partitions and reads none of them."""
    places = asyncio.Semaphore(AT_ONCE)

    async def stranger(number: int) -> None:
        group, topic = list(GROUPS.items())[number % len(GROUPS)]
        async with places:
            consumer = AIOKafkaConsumer(
                scene.direct.topic_prefix + topic,
                **scene.direct.client_options(),
                group_id=scene.direct.topic_prefix + group,
                enable_auto_commit=False,
                partition_assignment_strategy=(RangePartitionAssignor,),
                session_timeout_ms=6_000,
            )
            await consumer.start()
            try:
                await asyncio.sleep(scene.chance.uniform(0.2, 1.5))
            finally:
                await consumer.stop()

    async with asyncio.TaskGroup() as tasks:
        for number in range(JOINS):
            tasks.create_task(stranger(number))
    await scene.stack.supervisor.wait_ready(60)


async def overload(scene: Scene) -> None:
    """Let customers arrive three times as fast for ten seconds."""
    scene.crowd.hurry(3.0)
    with contextlib.ExitStack() as exits:
        exits.callback(scene.crowd.hurry, 1.0)
        await asyncio.sleep(10)
