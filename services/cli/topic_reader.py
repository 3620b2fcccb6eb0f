"""Reads everything that a topic holds now, committed records only: for commands that answer once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from services.chassis.kafka.records import Record
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings


async def read_all(kafka: KafkaSettings, topic: str) -> list[Record]:
    """The records of a topic (logical name) up to its end when the call began; in order per partition."""
    found: list[Record] = []
    caught_up = asyncio.Event()

    async def collect() -> None:
        async with aclosing(tail(kafka, topic, caught_up=caught_up.set)) as records:
            # Not a comprehension: what was read until the cancellation counts.
            async for record in records:
                found.append(record)  # noqa: PERF401

    async with asyncio.TaskGroup() as group:
        collector = group.create_task(collect())
        await caught_up.wait()
        collector.cancel()
    return found
