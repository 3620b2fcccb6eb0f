"""Faults of logs: the input of a lane is created again, or loses its tail. Then an operator decides (docs/operating/outages.md).

The services are cut off from the broker while the log changes, so that the strike can read exactly the records that are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final

from services.chassis import cluster_topics
from services.chassis.kafka.clients import admin_client
from services.chassis.kafka.contract import LaneSpec
from services.chassis.reasons import Reason
from services.chassis.topics import LANE_PARTITIONS
from services.cli.lane_table import LANES
from tests.chaos.campaign.lanes import positions, processes_of, reset, until, until_all_beyond, until_refused
from tests.chaos.campaign.proxy import Mode
from tests.chaos.campaign.reading import ends_of_topics, read_topics
from tests.chaos.campaign.stage import Scene
from tests.chaos.history.model import LogRecord
from tests.fixtures.cut_logs import cut_tail, forget_clean_stop

SENDER: Final = LANES["ingest-sender"]
INTAKE: Final = LANES["ingest-intake"]
CUSTOMERS: Final = ("http", "smtp", "grpc")
"""The edges that customers use."""
OLD_LOG: Final = 1 << 40
"""Offsets of records that are gone are smaller by this in the history: new records have their places."""
_UNHANDLED: Final = 3
"""Records that no lane has handled, at least, when the topic is deleted."""
_HANDLED: Final = 40
"""Offsets of each partition that the lane has handled, at least, when the log is cut."""
_WITHIN_S: Final = 60.0
_QUIET_S: Final = 4.0
_CUTS: Final = 12
"""How often the services are cut off until no writer was in a transaction."""
_EVERY: Final = range(LANE_PARTITIONS)


async def input_recreated(scene: Scene) -> None:
    """Delete the input of the sender lane and create it again, empty, while replies wait in it. The process of the lane stands still
    first, so that there are such replies: they are lost."""
    with scene.crowd.kept_arriving():
        await until_all_beyond(scene, SENDER, dict.fromkeys(_EVERY, 0), _WITHIN_S)
        for process in processes_of(scene, "ingest"):
            scene.stack.supervisor.send(process, signal.SIGSTOP)
        try:
            await _until_unhandled(scene, SENDER)
            async with _cut_off(scene):
                await _note(scene, SENDER, await read_topics(scene.direct, scene.keys, [SENDER.input]))
                assert scene.lost, "no reply is lost"
                await _recreate(scene, SENDER.input)
        finally:
            for process in processes_of(scene, "ingest"):
                scene.stack.supervisor.send(process, signal.SIGCONT)
        await _decide(scene, SENDER, dict.fromkeys(_EVERY, Reason.INPUT_RECREATED), "start")


async def input_shortened(scene: Scene) -> None:
    """Stop the broker, cut the last three quarters of one partition of the intake lane's input off its disk, and start it.

    Customers are cut off until the lane has noticed: a log that grows beyond the lane's position first shows nothing (decision 0083).
    """
    with scene.crowd.kept_arriving():
        at = await until_all_beyond(scene, INTAKE, dict.fromkeys(_EVERY, _HANDLED), _WITHIN_S)
        partition = max(at, key=lambda each: at[each])
        for name in CUSTOMERS:
            await scene.edges[name].become(Mode.REFUSE)

        async def let_customers_write() -> None:
            for name in CUSTOMERS:
                await scene.edges[name].become(Mode.PASS)

        try:
            async with _cut_off(scene):
                records = await read_topics(scene.direct, scene.keys, [INTAKE.input])
                end = await _cut(scene, INTAKE.input, partition, at[partition] // 4)
                await _note(
                    scene, INTAKE, (each for each in records if each.partition == partition and each.offset >= end)
                )
            await _decide(scene, INTAKE, {partition: Reason.INPUT_TAIL_LOST}, str(end), let_customers_write)
        finally:
            await let_customers_write()


@contextlib.asynccontextmanager
async def _cut_off(scene: Scene) -> AsyncIterator[None]:
    """Cut the services off from the broker. The block begins when every transaction has ended and no log grows any more.

    A writer that is cut off in a transaction leaves it open until its time-out. Then the way is opened again for a moment, so that the
    writer ends it.
    """
    before: Mapping[tuple[str, int], int] = {}

    async def quiet() -> bool:
        nonlocal before
        written, last = await ends_of_topics(scene.direct, "read_uncommitted"), before
        before = written
        return written == last == await ends_of_topics(scene.direct, "read_committed")

    try:
        for _ in range(_CUTS):
            await scene.stage.network.become(Mode.REFUSE)
            with contextlib.suppress(AssertionError):
                await until(quiet, lambda: "an open transaction", _QUIET_S)
                break
            await scene.stage.network.become(Mode.PASS)
            await asyncio.sleep(_QUIET_S)
        else:
            raise AssertionError(f"the logs did not become quiet; they end at {before}")
        yield
    finally:
        await scene.stage.network.become(Mode.PASS)


async def _note(scene: Scene, lane: LaneSpec, gone: Iterable[LogRecord]) -> None:
    """Keep records that are about to go, or are gone; those behind the lane's position are lost."""
    at = await positions(scene, lane)
    for record in gone:
        moved = record._replace(offset=record.offset - OLD_LOG)
        scene.before[moved.place] = moved
        if record.offset >= at[record.partition]:
            scene.lost.add(moved.place)
    scene.say(f"{lane.input}: {len(scene.before)} records are gone, {len(scene.lost)} of them were not handled")


async def _until_unhandled(scene: Scene, lane: LaneSpec) -> None:
    at = await positions(scene, lane)

    async def waiting() -> bool:
        ends = await ends_of_topics(scene.direct, "read_committed")
        return sum(ends[lane.input, partition] - offset for partition, offset in at.items()) >= _UNHANDLED

    await until(waiting, lambda: f"{lane.input} has not grown by {_UNHANDLED} records", _WITHIN_S)


async def _recreate(scene: Scene, topic: str) -> None:
    """Delete a topic, and create it as `chapar topics apply` does."""
    name = scene.direct.topic_prefix + topic
    async with admin_client(scene.direct, client_id="chaos") as admin:
        await admin.delete_topics([name])

        async def gone() -> bool:
            return name not in await admin.list_topics()

        await until(gone, lambda: f"{name} is still there", _WITHIN_S)
    await cluster_topics.apply(scene.direct)


async def _cut(scene: Scene, topic: str, partition: int, at: int) -> int:
    """Cut a partition at an offset or at the begin of its batch. Returns the new end."""
    data = scene.stage.home / "broker" / "kafka" / "data"
    await scene.stage.broker.stop()
    end = await asyncio.to_thread(cut_tail, data, scene.direct.topic_prefix + topic, partition, at)
    forget_clean_stop(data)
    await scene.stage.broker.start()
    return end


async def _nothing() -> None:
    return None


async def _decide(
    scene: Scene,
    lane: LaneSpec,
    refused: Mapping[int, str],
    to: str,
    when_refused: Callable[[], Awaitable[None]] = _nothing,
) -> None:
    """Wait until exactly these partitions are refused, see the neighbours go on, reset as an operator, and see traffic flow again."""
    await until_refused(scene, {(lane.name, partition): reason for partition, reason in refused.items()}, _WITHIN_S)
    await when_refused()
    at = await positions(scene, INTAKE)
    neighbours = {each: offset for each, offset in at.items() if lane is not INTAKE or each not in refused}
    await until_all_beyond(scene, INTAKE, neighbours, _WITHIN_S)
    continues = {partition: await reset(scene, lane, partition, to) for partition in refused}
    await until_refused(scene, {}, _WITHIN_S)
    await until_all_beyond(scene, lane, continues, _WITHIN_S)
    await scene.stack.supervisor.wait_ready(60)
