"""Reads what a run left behind: the topics, with sealed texts opened, and the live state of the services."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

import grpc
from aiokafka import AIOKafkaConsumer, TopicPartition
from google.protobuf.message import DecodeError

from chapar.common.v1 import types_pb2
from chapar.router.v1 import router_pb2, router_pb2_grpc
from services.chassis.kafka.records import Record
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.privacy.lanes import AwaitedKeys, when_ready
from services.chassis.privacy.sealing import Unsealable, unseal
from services.chassis.topics import TOPICS
from services.cli.local.broker.settings import CHECKOUT
from services.cli.topic_reader import read_all
from tests.chaos.history.model import LiveState, LogRecord
from tests.chaos.history.topics import SCHEMAS

SEALED = frozenset({"inbound.v1", "conversations.v1", "outbound.v1"})
"""Topics whose texts carry the marks."""
_PAGE = 500


async def read_topics(kafka: KafkaSettings, keys: AwaitedKeys, topics: Iterable[str] = SCHEMAS) -> list[LogRecord]:
    """Return the committed records of the topics; texts are opened with the keys of the persons."""
    found: list[LogRecord] = []
    for topic in topics:
        records = await read_all(kafka, topic)
        if topic in SEALED:
            await when_ready(keys, *records)
            records = [_opened(record, keys) for record in records]
        found += [LogRecord(*record) for record in records]
    return found


def _opened(record: Record, keys: AwaitedKeys) -> Record:
    if not record.value:
        return record
    try:
        message = SCHEMAS[record.topic].FromString(record.value)
        unseal(message, keys, record.topic, record.key or b"")
    except (DecodeError, Unsealable):
        return record  # poison: the checker sees it as it is
    return record._replace(value=message.SerializeToString())


async def hanging(kafka: KafkaSettings, patience_s: float) -> tuple[tuple[str, int, int], ...]:
    """Return the places at which readers of committed records stay behind the end of a log for `patience_s` seconds."""
    seen: set[tuple[str, int, int]] | None = None
    until = time.monotonic() + patience_s
    while True:
        stable, written = await ends_of_topics(kafka, "read_committed"), await ends_of_topics(kafka, "read_uncommitted")
        now = {(name, partition, at) for (name, partition), at in stable.items() if at < written[name, partition]}
        seen = now if seen is None else seen & now
        if not seen or time.monotonic() > until:
            return tuple(sorted(seen))
        await asyncio.sleep(0.5)


async def ends_of_topics(kafka: KafkaSettings, isolation: str) -> dict[tuple[str, int], int]:
    """Return the end of each partition, as readers of this isolation see it ("read_committed" or "read_uncommitted")."""
    consumer = AIOKafkaConsumer(**kafka.client_options(), isolation_level=isolation)
    await consumer.start()
    try:
        places = []
        for name in TOPICS:
            known = await consumer._client._wait_on_metadata(kafka.topic_prefix + name)
            places += [TopicPartition(kafka.topic_prefix + name, partition) for partition in known]
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return {(place.topic.removeprefix(kafka.topic_prefix), place.partition): at for place, at in ends.items()}


async def live_state(channel: grpc.aio.Channel, tenant: str, agents: Sequence[str], replayed: str) -> LiveState:
    """Ask the router what waits and what each agent has. `channel` carries a token of the tenant."""
    page = types_pb2.PageRequest(size=_PAGE)
    routing = router_pb2_grpc.RoutingServiceStub(channel)
    waiting = await routing.ListWaiting(router_pb2.ListWaitingRequest(page=page), timeout=10)
    directory = router_pb2_grpc.AgentDirectoryServiceStub(channel)
    listed = (await directory.ListAgents(router_pb2.ListAgentsRequest(page=page), timeout=10)).agents
    snapshots = {view.profile.agent_id: view.snapshot for view in listed if view.profile.agent_id in agents}
    return LiveState(
        tenant,
        frozenset(view.interaction.interaction_id for view in waiting.waiting),
        {agent: frozenset(offer.offer_id for offer in each.offers) for agent, each in snapshots.items()},
        {
            agent: frozenset(held.interaction.interaction_id for held in each.assignments)
            for agent, each in snapshots.items()
        },
        {agent: each.used for agent, each in snapshots.items()},
        replayed,
    )


def replay(kafka: KafkaSettings) -> str:
    """Replay the router's journal. Returns the first difference, empty when there is none."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "CHAPAR_TOPIC_PREFIX": kafka.topic_prefix,
    }
    done = subprocess.run(
        [sys.executable, "-m", "services.router.replay"],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()[-1_500:]
