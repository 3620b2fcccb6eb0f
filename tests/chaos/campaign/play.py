"""One run of the campaign: traffic, faults in the middle of it, the drain, and the checker."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx

from chapar.ingest.v1 import records_pb2 as ingest_pb2
from services.chassis.clock import system_clock
from tests.chaos.campaign.fault import Fault
from tests.chaos.campaign.reading import hanging, live_state, read_topics, replay
from tests.chaos.campaign.stage import USUAL, Scene, Stage, a_scene
from tests.chaos.campaign.tenants import AGENTS
from tests.chaos.campaign.traffic import Traffic
from tests.chaos.history.check import violations
from tests.chaos.history.history import History
from tests.chaos.history.model import Bounds, Evidence, LiveState, Violation

EVIDENCE: Final = Path("build/chaos")
"""Where the evidence of runs with violations is kept: `<fault>-<run>/evidence.pickle`, logs and the list of violations."""
DRAIN_S: Final = 60.0
HANGS_S: Final = 20.0
"""A transaction that is open for longer than its time-out (15 s) stays open for ever."""
_BEFORE: Final = 0.25
"""The fault strikes after this share of the traffic."""
_OPEN: Final = frozenset({"lost", "gap", "never fired", "no answer", "not counted"})
"""Problems of a history that has not drained yet."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the campaign's table."""

    fault: str
    interactions: int
    messages: int
    replies: int
    """Replies that were confirmed to their agents."""
    lost: int
    doubled: int
    unknown: int
    """Deliveries of unknown outcome: recorded as such, and never repeated."""
    false_breaches: int
    violations: int
    customers_s: float
    """The longest time until a customer's message was acknowledged, repetitions included."""
    agents_s: float
    """The longest time until an agent's request was confirmed."""
    drained_s: float
    restarts: Mapping[str, int]
    refused: Mapping[str, int]
    """Messages that were never acknowledged, by tenant and channel. They are not lost: their senders know."""
    by_channel: Mapping[str, int]
    """Acknowledged messages by tenant and channel."""

    def data(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self)


async def play(
    stage: Stage, faults: Sequence[Fault], traffic: Traffic, seed: int, say: Callable[[str], None]
) -> tuple[Row, list[Violation]]:
    """Play one run. The faults strike together."""
    of_service: dict[str, dict[str, str]] = {}
    for fault in faults:
        for service, variables in fault.of_service.items():
            of_service.setdefault(service, {}).update(variables)
    name = " + ".join(fault.name for fault in faults)
    bounds = Bounds(
        offer_late_ms=int(1000 * sum(fault.late_s for fault in faults)),
        deadline_late_ms=int(1000 * sum(fault.late_s for fault in faults)),
        drain_ms=int(1000 * DRAIN_S),
    )
    processes = next((fault.processes for fault in faults if fault.processes != USUAL), USUAL)
    async with a_scene(stage, seed, of_service, say, processes) as scene:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scene.crowd.arrive(traffic), name="traffic")
            await asyncio.sleep(traffic.seconds * _BEFORE)
            async with asyncio.TaskGroup() as strikes:
                for fault in faults:
                    strikes.create_task(fault.strike(scene), name=fault.name)
        await scene.stack.supervisor.wait_ready(60)
        healed_ms, healed = system_clock(), time.monotonic()
        evidence = await _drained(scene, bounds, healed_ms)
        drained_s = time.monotonic() - healed
        await scene.crowd.leave()
        evidence = await _final(scene, bounds, healed_ms)
        found = await asyncio.to_thread(violations, evidence)
        restarts = {name: count for name, count in scene.stack.supervisor.restarts().items() if count}
        row = await asyncio.to_thread(_row, name, evidence, found, scene, drained_s, restarts)
        if found:
            await _keep(name, evidence, found, scene)
    return row, found


async def _evidence(scene: Scene, bounds: Bounds, healed_ms: int, live: tuple[LiveState, ...]) -> Evidence:
    now = await read_topics(scene.direct, scene.keys)
    records = {**scene.before, **{record.place: record for record in now}}.values()
    # Bounds are judged as if the time to drain had passed: the caller reads until nothing is open, or it has passed.
    read_ms = max(system_clock(), healed_ms + bounds.drain_ms + bounds.deadline_late_ms + 1)
    return Evidence(
        scene.observed.view(),
        tuple(records),
        healed_ms,
        read_ms,
        live,
        frozenset(scene.injected),
        bounds,
        lost=frozenset(scene.lost),
    )


async def _drained(scene: Scene, bounds: Bounds, healed_ms: int) -> Evidence:
    """Read until nothing is open, or the time to drain has passed."""
    while True:
        evidence = await _evidence(scene, bounds, healed_ms, ())
        found = await asyncio.to_thread(violations, evidence)
        still_open = [violation for violation in found if violation.problem in _OPEN]
        if not still_open or system_clock() > healed_ms + bounds.drain_ms:
            return evidence
        await asyncio.sleep(0.5)


async def _final(scene: Scene, bounds: Bounds, healed_ms: int) -> Evidence:
    # A replay needs the commands of all batches, and refuses to go on without them.
    replayed = "" if scene.deleted else await asyncio.to_thread(replay, scene.direct)
    live = [
        await live_state(scene.channels[tenant], tenant, agents, replayed if tenant == "demo" else "")
        for tenant, agents in AGENTS.items()
    ]
    open_for_ever = await hanging(scene.direct, HANGS_S)
    return replace(await _evidence(scene, bounds, healed_ms, tuple(live)), hanging=open_for_ever)


def _row(
    name: str,
    evidence: Evidence,
    found: Sequence[Violation],
    scene: Scene,
    drained_s: float,
    restarts: Mapping[str, int],
) -> Row:
    history = History(evidence)
    problems = Counter(violation.problem for violation in found)
    unknown = sum(
        record.value.state == ingest_pb2.DELIVERY_STATE_UNKNOWN
        for outcomes in history.outcomes.values()
        for record in outcomes
    )
    return Row(
        name,
        len(history.interactions),
        len(evidence.clients.acknowledged),
        len(evidence.clients.replies),
        problems["lost"] + problems["gap"],
        problems["doubled"],
        unknown,
        problems["false breach"],
        len(found),
        round(scene.observed.customers.longest_s, 2),
        round(scene.observed.agents.longest_s, 2),
        round(drained_s, 1),
        restarts,
        dict(scene.observed.refused),
        dict(Counter(f"{message.tenant}/{message.channel}" for message in evidence.clients.acknowledged)),
    )


async def _keep(name: str, evidence: Evidence, found: Sequence[Violation], scene: Scene) -> None:
    """Keep what is needed to find the cause of violations: records, logs with the stacks of all tasks, metrics."""
    folder = EVIDENCE / f"{name.replace(' ', '-')}-{scene.run}"
    folder.mkdir(parents=True)
    (folder / "violations.txt").write_text("".join(f"{violation}\n" for violation in found))
    (folder / "evidence.pickle").write_bytes(pickle.dumps(evidence))
    kafka = scene.stage.home / "broker" / "kafka"
    for log in kafka.glob("kafka.log*"):
        shutil.copy(log, folder / log.name)
    for topic, partition, _ in evidence.hanging:
        name_on_disk = f"{scene.stack.kafka.topic_prefix}{topic}-{partition}"
        shutil.copytree(kafka / "data" / name_on_disk, folder / name_on_disk)
    if evidence.hanging:  # kafka-dump-log shows which transaction is open, and what the coordinator knows of it
        for state in (kafka / "data").glob("__transaction_state-*"):
            shutil.copytree(state, folder / state.name)
    logs = scene.clocks.parent / "logs"
    async with httpx.AsyncClient(timeout=5) as http:
        for process, servers in scene.stack.running.endpoints.items():
            scene.stack.supervisor.send(process, signal.SIGUSR2)
            with contextlib.suppress(httpx.HTTPError):  # the process is not there
                (folder / f"{process}.metrics").write_text((await http.get(f"http://{servers['ops']}/metrics")).text)
            shutil.copy(logs / f"{process}.log", folder / f"{process}.log")
