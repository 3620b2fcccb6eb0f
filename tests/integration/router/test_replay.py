"""A shard on real Kafka changes its owner and is replayed: the result is identical; with a changed record, the difference is shown."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis import cluster_topics
from services.chassis.clock import system_clock
from services.chassis.kafka.lane import LaneContext, LaneRunner, LaneTuning
from services.chassis.kafka.records import Record
from services.chassis.kafka.writer import Writer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.cli.topic_reader import read_all
from services.router.lanes.shard import COMMANDS, EVENTS, FEED, JOURNAL, SPEC, ShardProcessor
from services.router.lanes.shard_metrics import ShardMetrics
from services.router.metrics import METRICS
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.router.stand import POOL, TENANT, Bench, a_bench

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(170)]

INTERACTIONS = 30
REPLY_TO = pb.ReplyTo(gateway_id="bench", feed_partition=1)
PARTITIONS = {COMMANDS: 2, EVENTS: 2, FEED: 4}
TUNING = LaneTuning(session_timeout_ms=6_000, heartbeat_interval_ms=500, offsets_interval=0.1, retry_least=0.05)


def a_configuration() -> config_pb2.TenantConfiguration:
    """Return short offers, wrap-up, and skills that are no longer required after a while: timers are due all the time."""
    needs = config_pb2.Queue(name="support", pool=POOL, offer_timeout_ms=700, wrap_up_ms=300)
    needs.requirements.add(attribute="french", number=5, operator=2, expires_after_ms=400)
    return config_pb2.TenantConfiguration(
        tenant=TENANT,
        version=1,
        pools=[config_pb2.Pool(name=POOL, session_lease_ms=60_000, assignment_grace_ms=20_000)],
        queues=[config_pb2.Queue(name="sales", pool=POOL, offer_timeout_ms=700, wrap_up_ms=200), needs],
        capacity_profiles=[config_pb2.CapacityProfile(name="", total=2, default_weight=1)],
        agents=[config_pb2.AgentProfile(agent_id=f"agent-{n}", pool=POOL, skills={"persian": 8}) for n in range(4)],
    )


@asynccontextmanager
async def an_owner(kafka: KafkaSettings, name: str) -> AsyncIterator[None]:
    """Own both shards until the block ends; then stop at once, whatever is being done."""
    metrics = ShardMetrics(Metrics(METRICS))

    def factory(context: LaneContext) -> ShardProcessor:
        return ShardProcessor(context, PARTITIONS[FEED], metrics)

    writer = Writer(kafka, service="router")
    runner = LaneRunner(
        SPEC,
        factory,
        kafka,
        writer=writer,
        clock=system_clock,
        client_id=f"router@{name}",
        tuning=TUNING,
    )
    async with writer, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(runner.run())
        async with asyncio.timeout(40):
            await runner.wait_restored()
        try:
            yield
        finally:
            running.cancel()


class Team:
    """Agents who accept, reply and complete everything that they are offered; sometimes one declines, or does not answer an offer."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._seen = 0
        self._offers = 0

    async def sign_in(self) -> None:
        """Sign in all four agents."""
        for n in range(4):
            await self._bench.command(
                reply_to=REPLY_TO, sign_in=pb.SignIn(agent_id=f"agent-{n}", session_id=f"session-{n}-{self._seen}")
            )

    async def run(self) -> None:
        """Answer offers until cancelled."""
        while True:
            async with self._bench.changed:
                await self._bench.changed.wait_for(lambda: len(self._bench.events) > self._seen)
            event = self._bench.events[self._seen]
            self._seen += 1
            match event.WhichOneof("event"):
                case "offered":
                    await self._answer(event)
                case "assigned":
                    await self._serve(event)
                case "agent_state_changed" if event.agent_state_changed.after == pb.AGENT_STATE_NOT_RESPONDING:
                    again = pb.SetAgentState(
                        agent_id=event.agent_state_changed.agent_id, state=pb.AGENT_STATE_AVAILABLE
                    )
                    await self._bench.command(reply_to=REPLY_TO, set_agent_state=again)

    async def _answer(self, event: pb.RoutingEvent) -> None:
        self._offers += 1
        offer = event.offered
        if self._offers % 11 == 5:
            return  # the offer expires
        if self._offers % 7 == 3:
            body = pb.DeclineOffer(agent_id=offer.agent_id, offer_id=offer.offer_id, reason="BUSY", retry_after_ms=300)
            await self._bench.command(reply_to=REPLY_TO, decline_offer=body)
            return
        accept = pb.AcceptOffer(agent_id=offer.agent_id, offer_id=offer.offer_id)
        await self._bench.command(reply_to=REPLY_TO, accept_offer=accept)

    async def _serve(self, event: pb.RoutingEvent) -> None:
        agent, interaction = event.assigned.agent_id, event.interaction.interaction_id
        reply = pb.RecordReply(agent_id=agent, interaction_id=interaction, reply_id=f"reply-{interaction}")
        await self._bench.command(reply_to=REPLY_TO, record_reply=reply)
        done = pb.CompleteInteraction(agent_id=agent, interaction_id=interaction, disposition="solved")
        await self._bench.command(reply_to=REPLY_TO, complete_interaction=done)


async def work_through(bench: Bench, count: int) -> None:
    """Run `count` interactions from arrival to the end of wrap-up."""
    names = []
    for number in range(count):
        attributes = pb.InteractionAttributes(
            interaction_id=f"i-{len(bench.events)}-{number}",
            conversation_id=f"c-{number}",
            person_id=f"p-{number % 5}",
            channel="webchat",
            queue=("sales", "support")[number % 2],
            arrived_at_ms=system_clock(),
            labels={"tier": "gold", "city": "Tehran", "plan": "b", "shop": "17"},
        )
        names.append(attributes.interaction_id)
        await bench.command(enqueue=pb.Enqueue(interaction=attributes))
        await bench.until(lambda: sum(e.HasField("queued") for e in bench.events) > 0)
    await bench.until(lambda: all("wrap_up_ended" in bench.story(name) for name in names), within_s=60)


@dataclass
class Answer:
    """The output of the command."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The output as JSON."""
        return json.loads(self.out)


async def chapar_replay(kafka: KafkaUnderTest, prefix: str, *arguments: str) -> Answer:
    """Run the command as users do, in its own process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli",
        "replay",
        *arguments,
        env={
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "CHAPAR_TOPIC_PREFIX": prefix,
            "PYTHONHASHSEED": "99",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, out.decode(), err.decode())


async def a_life(settings: KafkaSettings) -> None:
    """Run two owners, one after the other, while agents work; with whole life cycles under both."""
    async with a_bench(settings) as bench:
        team = Team(bench)
        async with asyncio.TaskGroup() as tasks:
            async with an_owner(settings, "first"):
                await bench.configure(a_configuration())
                await team.sign_in()
                working = tasks.create_task(team.run())
                await work_through(bench, INTERACTIONS)
                for number in range(4):  # offered and not yet accepted when the owner is lost
                    await bench.enqueue("sales", f"late-{number}")
                await bench.until(lambda: len(bench.story("late-0")) > 1)
            async with an_owner(settings, "second"):
                await work_through(bench, INTERACTIONS)
                await bench.until(
                    lambda: all("wrap_up_ended" in bench.story(f"late-{n}") for n in range(4)), within_s=60
                )
            working.cancel()


def shard_of(answer: Answer, commands: int) -> dict[str, Any]:
    """Return the report of the shard that had the pool."""
    (found,) = [shard for shard in answer.data["shards"] if shard["commands"] >= commands]
    return dict(found)


async def test_a_life_with_a_change_of_owner_is_replayed_identically(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path
) -> None:
    """It is identical from the beginning; in two parts by a state file; and from a captured state. Without the beginning it is refused."""
    settings = kafka.settings(prefix)
    await a_life(settings)
    whole = await chapar_replay(kafka, prefix, "--json")
    assert whole.code == 0, whole
    shard = shard_of(whole, 200)
    assert whole.data["verdict"] == "identical"
    assert shard["takeovers"] == 2
    assert shard["effects"] > 600
    assert shard["published"] > shard["effects"]  # results of commands are published too
    assert shard["not_kept"] == 0
    assert shard["next_offset"] == shard["commands"]

    # In two parts
    number, half = str(shard["shard"]), str(shard["commands"] // 2)
    file = tmp_path / "state"
    first = await chapar_replay(kafka, prefix, "--shard", number, "--to", half, "--save", str(file), "--json")
    assert first.code == 0, first
    rest = await chapar_replay(kafka, prefix, "--shard", number, "--state", str(file), "--json")
    assert rest.code == 0, rest
    assert shard_of(first, 50)["commands"] + shard_of(rest, 50)["commands"] == shard["commands"]

    # From a captured state, followed by a third owner's commands
    captured = tmp_path / "captured"
    taken = await chapar_replay(kafka, prefix, "--capture", str(captured))
    assert taken.code == 0, taken
    async with an_owner(settings, "third"), a_bench(settings) as bench:
        await bench.until(lambda: any(e.HasField("wrap_up_ended") for e in bench.events))
        interaction = await bench.enqueue("sales")
        await bench.until(lambda: len(bench.story(interaction)) > 1)
    third = await chapar_replay(kafka, prefix, "--shard", number, "--state", str(captured), "--json")
    assert third.code == 0, third
    assert third.data["shards"][0]["takeovers"] == 1
    assert third.data["shards"][0]["effects"] >= 2

    # Without the beginning of the journal
    await forget(settings, JOURNAL, int(number), 10)
    lost = await chapar_replay(kafka, prefix, "--shard", number, "--save", str(tmp_path / "none"))
    assert lost.code == 2
    assert "the journal's beginning is no longer kept" in lost.err.replace("\n", " ")
    assert not (tmp_path / "none").exists()


async def test_a_tampered_record_is_found_and_shown(kafka: KafkaUnderTest, prefix: str) -> None:
    """In a copy of the topics one offer has another agent, and the journal's hash does not fit the decision. In another copy it does."""
    settings = kafka.settings(prefix)
    await a_life(settings)
    journal = [record for record in await read_all(settings, JOURNAL) if record.value]
    busy = max({record.partition for record in journal}, key=lambda p: sum(r.partition == p for r in journal))
    events = await read_all(settings, EVENTS)
    offered = [r for r in events if pb.RoutingEvent.FromString(r.value or b"").HasField("offered")]
    victim = offered[len(offered) // 2]
    tampered = pb.RoutingEvent.FromString(victim.value or b"")
    original = tampered.offered.agent_id
    tampered.offered.agent_id = "mallory"

    def of_the_same_batch(record: Record) -> bool:
        journaled = pb.JournalRecord.FromString(record.value or b"")
        epoch = dict(victim.headers)["lane-epoch"] == b"%d" % journaled.lane_epoch
        return record.partition == busy and epoch and journaled.now_ms == victim.timestamp_ms

    def change(record: Record) -> bytes | None:
        if record == victim:
            return tampered.SerializeToString(deterministic=True)
        if record.topic == JOURNAL and of_the_same_batch(record):
            forged = pb.JournalRecord.FromString(record.value or b"")
            forged.effects_sha256 = bytes(32)
            return forged.SerializeToString()
        return record.value

    copy = f"{prefix}copy."
    await copied(settings, kafka.settings(copy), change)
    answer = await chapar_replay(kafka, copy, "--json")
    assert answer.code == 1, answer
    (shard,) = [shard for shard in answer.data["shards"] if not shard["identical"]]
    found = shard["difference"]["found"]
    assert shard["difference"]["clock_ms"] == victim.timestamp_ms
    assert found["fields"] == [["offered.agent_id", "mallory", original]]
    assert found["original"]["record"]["event_id"] == tampered.event_id == found["rerun"]["record"]["event_id"]
    told = await chapar_replay(kafka, copy)
    assert told.code == 1
    assert f'offered.agent_id: "mallory" in the original, "{original}" in the re-run' in told.out
    assert told.out.splitlines()[-1] == "different"

    published = f"{prefix}published."
    await copied(
        settings,
        kafka.settings(published),
        lambda record: record.value if record.topic == JOURNAL else change(record),
    )
    proven = await chapar_replay(kafka, published, "--json")
    assert proven.code == 1, proven
    (shard,) = [shard for shard in proven.data["shards"] if not shard["identical"]]
    assert shard["difference"]["found"]["summary"] == "the topic holds another record than was decided"
    assert shard["difference"]["found"]["fields"] == [["offered.agent_id", "mallory", original]]


async def copied(origin: KafkaSettings, copy: KafkaSettings, change: Callable[[Record], bytes | None]) -> None:
    """Copy records with the same times, and commands with the same offsets, as they were not written in transactions."""
    await cluster_topics.apply(copy, partitions=PARTITIONS)
    producer = AIOKafkaProducer(**copy.client_options(), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for topic in (COMMANDS, JOURNAL, EVENTS, FEED):
            for record in await read_all(origin, topic):
                await producer.send(
                    copy.topic_prefix + topic,
                    change(record),
                    key=record.key,
                    partition=record.partition,
                    timestamp_ms=record.timestamp_ms,
                    headers=list(record.headers),
                )
        await producer.flush()
    finally:
        await producer.stop()


async def forget(kafka: KafkaSettings, topic: str, partition: int, before: int) -> None:
    """Delete the records of a partition before an offset, as retention does."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        tp = TopicPartition(kafka.topic_prefix + topic, partition)
        await admin.delete_records({tp: RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()
