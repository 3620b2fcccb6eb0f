"""Reads all records that a topic holds now, committed records only: for commands that print one result and end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from typing import TypeVar

from google.protobuf.message import DecodeError

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.records import Record
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.cli.reasons import Reason

log = logging.getLogger(__name__)
M = TypeVar("M")


def decoded(records: Iterable[Record], parse: Callable[[bytes], M]) -> Iterator[tuple[Record, M]]:
    """Yield records with their messages. Tombstones and records that do not decode are left out; the latter are logged: a
    command must not fail because of one record that its topic holds for a month."""
    for record in records:
        if record.value is None:
            continue
        try:
            yield record, parse(record.value)
        except DecodeError:
            log.warning("%s/%d at %d cannot be decoded: left out", record.topic, record.partition, record.offset)


async def read_all(kafka: KafkaSettings, topic: str, *, patience_s: float = 15.0) -> list[Record]:
    """Return the records of a topic (logical name) up to its end when the call began; in order per partition.

    Raises UNAVAILABLE KAFKA when no record arrives for `patience_s` seconds before the end is reached.
    """
    found: list[Record] = []
    caught_up = asyncio.Event()

    async def collect() -> None:
        async with aclosing(tail(kafka, topic, caught_up=caught_up.set)) as records:
            # Not a comprehension: records read before the cancellation must be kept.
            async for record in records:
                found.append(record)  # noqa: PERF401

    async with asyncio.TaskGroup() as group:
        collector = group.create_task(collect())
        while not caught_up.is_set():
            before = len(found)
            try:
                async with asyncio.timeout(patience_s):
                    await caught_up.wait()
            except TimeoutError:
                if len(found) == before:
                    raise ChaparError(
                        ErrorKind.UNAVAILABLE,
                        Reason.BROKER_UNAVAILABLE,
                        f"{topic} can't be read: no record arrived from {kafka.bootstrap_servers} for {patience_s:g} s; "
                        "check that the cluster runs and that the topic exists",
                    ) from None
        collector.cancel()
    return found
