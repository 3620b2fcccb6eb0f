"""The condition that all processing is complete: every consumer has committed the whole log, and the log has not grown meanwhile.

A lane writes its effects and commits its input in one transaction. So when every group has committed all data, no earlier record
has effects that are still to come, except timers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from services.chassis.kafka.clients import admin_client
from services.chassis.kafka.records import Record
from services.chassis.kafka_settings import KafkaSettings

Place = tuple[str, int]


async def quiet(
    kafka: KafkaSettings, read: Callable[[], Awaitable[Sequence[Record]]], within_s: float = 60
) -> Sequence[Record]:
    """Wait until all processing is complete and return every record of the log.

    `read` returns all records. Raises TimeoutError with the groups that are behind.
    """
    behind: Mapping[str, str] = {}
    try:
        async with asyncio.timeout(within_s), admin_client(kafka, client_id="test-quiet") as admin:
            before = await read()
            while True:
                behind = await _behind(admin, kafka.topic_prefix, last_offsets(before))
                after = await read()
                if not behind and last_offsets(after) == last_offsets(before):
                    return after
                before = after
    except TimeoutError as error:
        raise TimeoutError(f"still processing: {dict(behind)}") from error


def last_offsets(records: Iterable[Record]) -> dict[Place, int]:
    """Return the offset of the last record of each partition that has records. Topics have their logical names."""
    found: dict[Place, int] = {}
    for record in records:
        place = (record.topic, record.partition)
        found[place] = max(found.get(place, -1), record.offset)
    return found


async def _behind(admin: Any, prefix: str, last: Mapping[Place, int]) -> dict[str, str]:
    """Return the groups that have not committed the last record of one of their partitions, or that have no partition yet."""
    found: dict[str, str] = {}
    groups = [name for name, *_ in await admin.list_consumer_groups() if name.startswith(prefix)]
    for group in groups:
        offsets = await admin.list_consumer_group_offsets(group)
        committed = {(tp.topic.removeprefix(prefix), tp.partition): each.offset for tp, each in offsets.items()}
        held = await _held(admin, prefix, group)
        if not held:
            found[group] = "has no partition"
        for place in held:
            if place in last and committed.get(place, -1) <= last[place]:
                found[f"{group} {place}"] = f"{committed.get(place)} of {last[place] + 1}"
    return found if groups else {"": "no group exists yet"}


async def _held(admin: Any, prefix: str, group: str) -> set[Place]:
    held: set[Place] = set()
    for response in await admin.describe_consumer_groups([group]):
        for _error, _name, _state, _type, _protocol, members, *_rest in response.groups:
            for *_id, _client, _host, _metadata, assignment in members:
                if not assignment:
                    continue
                decoded = ConsumerProtocolMemberAssignment.decode(assignment)
                held |= {(name.removeprefix(prefix), each) for name, parts in decoded.assignment for each in parts}
    return held
