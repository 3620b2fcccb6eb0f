"""Retention that deletes as much as it may: every record of the lanes' inputs that all its readers have handled."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from services.chassis.kafka.clients import admin_client
from services.cli.lane_table import LANES
from tests.chaos.campaign.lanes import until
from tests.chaos.campaign.reading import read_topics
from tests.chaos.campaign.stage import Scene
from tests.chaos.campaign.strikes.processes import kill

INPUTS: Final = tuple(lane.input for lane in LANES.values())
_ALWAYS: Final = frozenset({"inbound.v1", "outbound.v1", "routing.commands.v1", "routing.events.v1"})
"""Inputs that get records in each second of traffic."""
_ROUNDS: Final = 2
_WITHIN_S: Final = 60.0


async def history_shortened(scene: Scene) -> None:
    """Delete what all readers have handled, kill every process, and do it again: nothing may need a record that was handled."""
    with scene.crowd.kept_arriving():
        for _ in range(_ROUNDS):
            await _delete_handled(scene)
            await kill(*scene.stack.running.endpoints)(scene)
        await _delete_handled(scene)


async def _delete_handled(scene: Scene) -> None:
    """Keep copies for the checker, and delete. Each input with steady traffic must have something to delete."""
    begins: dict[TopicPartition, int] = {}

    async def all_have_some() -> bool:
        begins.clear()
        begins.update(await _handled(scene))
        new = {place for place, begin in begins.items() if begin > scene.deleted.get(place, 0)}
        return {place.topic.removeprefix(scene.direct.topic_prefix) for place in new} >= _ALWAYS

    await until(all_have_some, lambda: f"the readers are at {begins}", _WITHIN_S)
    # The positions come first, so that the copy has every record that is deleted.
    for record in await read_topics(scene.direct, scene.keys, INPUTS):
        place = TopicPartition(scene.direct.topic_prefix + record.topic, record.partition)
        if record.offset < begins.get(place, 0):
            scene.before[record.place] = record
    async with admin_client(scene.direct, client_id="chaos") as admin:
        await admin.delete_records({place: RecordsToDelete(begin) for place, begin in begins.items() if begin})
    scene.deleted.update(begins)
    scene.say(f"retention: {len(scene.before)} handled records are deleted")


async def _handled(scene: Scene) -> dict[TopicPartition, int]:
    """Return the least position of all readers of each partition of the inputs: groups, and history, which reads without one."""
    prefix = scene.direct.topic_prefix
    topics = {prefix + topic for topic in INPUTS}
    readers = [_history(scene.clocks.parent / "state", prefix)]
    async with admin_client(scene.direct, client_id="chaos") as admin:
        counts = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics([*topics])}
        for group, *_ in await admin.list_consumer_groups():
            if group.startswith(prefix):
                committed = await admin.list_consumer_group_offsets(group)
                readers.append({place: each.offset for place, each in committed.items()})
    found: dict[TopicPartition, int] = {}
    for reader in readers:
        for topic in topics & {place.topic for place in reader}:
            for place in (TopicPartition(topic, number) for number in range(counts[topic])):
                found[place] = min(found.get(place, reader.get(place, 0)), reader.get(place, 0))
    return found


def _history(state: Path, prefix: str) -> dict[TopicPartition, int]:
    """Return the positions that history has in its databases."""
    found: dict[TopicPartition, int] = {}
    for file in state.glob("history-*.sqlite3"):
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=_WITHIN_S)) as database:
            for log, partition, offset in database.execute("SELECT log, partition, next_offset FROM positions"):
                place = TopicPartition(prefix + log.removeprefix(prefix), partition)
                found[place] = min(found.get(place, offset), offset)
    assert found, f"history has no positions in {state}"
    return found
