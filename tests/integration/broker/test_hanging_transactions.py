"""Transactions without markers after a crash of the only broker: `chapar transactions` shows and ends them, and so does the broker's start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.protocol.metadata import MetadataRequest

from services.chassis.clock import system_clock
from services.chassis.kafka.clients import admin_client
from services.chassis.kafka.open_transactions import OpenTransactions
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.contents import Contents, Place, RecordBatch, Sealed, TopicPartitions
from services.chassis.kafka.transactions.coordinator_log import Status
from services.chassis.kafka.transactions.ending import Outcome, end, read_log, recorded
from services.chassis.kafka.transactions.hanging import ends_of, find
from services.chassis.kafka.transactions.producer import TransactionalId, TransactionFailed
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.cli.local.broker.embedded import EmbeddedBroker
from services.cli.local.broker.settings import BrokerSettings
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import SPEC, TUNING, Running, Watch, create_topics, eventually, read_all
from tests.fixtures.broker import plain_settings
from tests.fixtures.cut_logs import cut_marker, forget_clean_stop

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

PREFIX = "hang."
WITHIN = 20.0
STATE = SPEC.changelog_topic


def a_cluster(settings: KafkaSettings) -> Cluster:
    return Cluster(settings, client_id="test", request_timeout_ms=5000, close_timeout=3.0)


async def transaction(
    settings: KafkaSettings, name: str, value: bytes, *, commit: bool, v2: bool = True, topic: str = OUT
) -> None:
    """Write a record to partition 0 of a topic and of the changelog, and end the transaction."""
    async with a_cluster(settings) as cluster:
        producer = TransactionalId(cluster, PREFIX + name, timeout_ms=60_000, v2=v2)
        await producer.initialise(WITHIN)
        await producer.append(batches(topic, value), WITHIN)
        await (producer.commit(WITHIN) if commit else producer.abort(WITHIN))
        for place in ((PREFIX + topic, 0), (PREFIX + STATE, 0)):
            assert await cluster.until_visible(place, WITHIN)


def batches(topic: str, value: bytes) -> Mapping[Place, list[RecordBatch]]:
    partitions = TopicPartitions(PREFIX)
    partitions.set_count(topic, 1)
    outbox = BatchOutbox(1, 100_000)
    outbox.send(topic, b"k", value, partition=0)
    contents = Contents(partitions, 100_000)
    contents.add(Sealed(outbox, {b"state": value}, system_clock(), (PREFIX + STATE, 0)))
    contents.close()
    return contents.batches


async def values(settings: KafkaSettings, topic: str) -> list[bytes | None]:
    """Return what readers of committed records see; fail if they do not see everything."""
    async with a_cluster(settings) as cluster:
        ((stable, end_),) = (await ends_of(cluster, [(PREFIX + topic, 0)])).values()
        assert stable == end_
    return [record.value for record in await read_all(settings, topic)]


async def measured(settings: KafkaSettings, hangs: str, other: str) -> None:
    """Wait until the gauge of a topic grows; fail if it shows anything of another one."""
    topics, metrics = {PREFIX + each: each for each in (hangs, other)}, Metrics()
    gauge = OpenTransactions(topics, metrics, every_s=0.0)
    async with admin_client(settings, client_id="test") as admin:

        async def grows() -> bool:
            answer = await admin._send_request(MetadataRequest([*topics], allow_auto_topic_creation=False))
            await gauge.look(admin, answer.to_object())
            assert metrics.value("chapar_transaction_open_seconds", other) == 0.0
            return (metrics.value("chapar_transaction_open_seconds", hangs) or 0.0) > 0.1

        await eventually(grows, "the gauge grows")


class Installation:
    """A broker of its own, which loses markers, and the command line."""

    def __init__(self, home: Path) -> None:
        self.said: list[str] = []
        self.broker = EmbeddedBroker(
            BrokerSettings(home=home, kafka_heap="160m", kafka_full_compiler=False), say=self.said.append
        )
        self._data = home / "kafka" / "data"

    @property
    def settings(self) -> KafkaSettings:
        return plain_settings(self.broker.bootstrap, PREFIX)

    async def lose_markers(self, *topics: str, killed: bool) -> None:
        """Stop the broker, cut the newest marker of each topic, and start it."""
        await self.broker.stop()
        for topic in topics:
            cut_marker(self._data, PREFIX + topic, 0)
        if killed:
            forget_clean_stop(self._data)
        await self.broker.start()

    def chapar(self, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap,
            "CHAPAR_TOPIC_PREFIX": PREFIX,
            "CHAPAR_TENANT": "demo",
        }
        command = [sys.executable, "-m", "services.cli", "transactions", *words, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in codes, done.stderr
        return json.loads(done.stdout), done.stderr


async def test_lost_markers_are_written_as_the_coordinator_decided(tmp_path: Path) -> None:
    """A commit is committed and an abort aborted, by the command and by the start of a broker that was killed."""
    here = Installation(tmp_path)
    async with here.broker:
        settings = here.settings
        await create_topics(settings, 1, plain=(OUT, "audit.v1"))

        # The command, for a commit.
        await transaction(settings, "writer", b"committed", commit=True)
        await here.lose_markers(STATE, killed=False)
        async with a_cluster(settings) as cluster:
            (found,) = await find(cluster, await cluster.places_of(PREFIX), PREFIX)
            assert found.hangs
            log = await read_log(settings, {found.open.producer_id}, client_id="test")
            assert {each.v2 for each in log if each.status is Status.PREPARE_COMMIT} == {True}
            assert (found.open.place, found.open.first_offset, found.state) == (
                (PREFIX + STATE, 0),
                0,
                "CompleteCommit",
            )
        await measured(settings, STATE, OUT)
        rows, _ = here.chapar("list")
        assert [(row["topic"], row["hangs"], row["outcome"]) for row in rows] == [(PREFIX + STATE, True, "commit")]
        ended, says = here.chapar("end", "--yes")
        assert [each["outcome"] for each in ended] == ["commit"]
        assert "commit, as its coordinator recorded" in says
        assert await values(settings, STATE) == [b"committed"]
        assert here.chapar("list")[0] == []
        assert len(await read_all(settings, "audit.v1")) == 1

        # The start, for an abort by the older protocol.
        await transaction(settings, "older", b"aborted", commit=False, v2=False)
        assert here.said == []
        await here.lose_markers(OUT, killed=True)
        assert [each for each in here.said if "abort" in each and f"{PREFIX}{OUT}/0" in each], here.said
        assert await values(settings, OUT) == [b"committed"]


async def test_a_lane_waits_for_a_transaction_that_hangs(tmp_path: Path) -> None:
    """It does not start with a part of its state, it names the transaction and the command, and it goes on when that is ended."""
    here = Installation(tmp_path)
    async with here.broker:
        settings = here.settings
        await create_topics(settings, 1)
        await transaction(settings, "edge", b"add", commit=True, topic=SPEC.input)
        before = Watch()
        async with Running(settings, before) as lane:
            await lane.until(lambda: before.records == 1, "handled")
        await transaction(settings, "edge", b"add", commit=True, topic=SPEC.input)
        await here.lose_markers(STATE, SPEC.input, killed=False)

        watch = Watch()
        async with (
            a_cluster(settings) as cluster,
            Running(settings, watch, tuning=replace(TUNING, hang_after=1.0)) as lane,
        ):
            await lane.until(lambda: STATE in lane.hanging.get(0, "") and SPEC.input in lane.hanging[0], "named")
            by_topic = {
                each.open.place[0]: each.open for each in await find(cluster, await cluster.places_of(PREFIX), PREFIX)
            }
            for each in by_topic.values():
                named = f"{each.place[0]}/0 cannot be read from offset {each.first_offset} on: the transaction of producer {each.producer_id}"
                assert named in lane.hanging[0]
            assert "`chapar transactions end`" in lane.hanging[0]
            assert lane.runner.processor(0) is None

            words = await recorded(settings, [*by_topic.values()], client_id="test")

            async def end_in(topic: str) -> None:
                outcome = words[by_topic[PREFIX + topic]].outcome
                assert outcome == Outcome(commit=True, epoch=by_topic[PREFIX + topic].epoch + 1)
                await end(cluster, by_topic[PREFIX + topic], outcome, WITHIN)

            await end_in(STATE)
            await lane.until(lambda: lane.runner.processor(0) is not None and STATE not in lane.hanging[0], "it owns")
            assert lane.ledger().counts == {b"k": 1}
            assert SPEC.input in lane.hanging[0]
            await end_in(SPEC.input)
            await lane.until(lambda: lane.ledger().counts == {b"k": 2} and not lane.hanging, "it goes on")


@pytest.mark.parametrize("v2", [True, False], ids=["v2", "v1"])
async def test_an_id_that_lost_its_markers_writes_no_more(tmp_path: Path, v2: bool) -> None:
    """Its next marker would end the transaction that hangs too: an abort would drop what was committed. With its markers it goes on."""
    here = Installation(tmp_path)
    async with here.broker:
        settings = here.settings
        await create_topics(settings, 1)
        async with a_cluster(settings) as cluster:
            producer = TransactionalId(cluster, PREFIX + "writer", timeout_ms=60_000, v2=v2)
            await producer.initialise(WITHIN)
            for value in (b"first", b"second"):
                await producer.append(batches(OUT, value), WITHIN)
                await producer.commit(WITHIN)
                await here.broker.restart()
            await producer.append(batches(OUT, b"third"), WITHIN)
            await producer.commit(WITHIN)
            assert await cluster.until_visible((PREFIX + STATE, 0), WITHIN)
            await here.lose_markers(STATE, killed=False)
            with pytest.raises(TransactionFailed, match="its last transaction has no markers"):
                await producer.append(batches(OUT, b"fourth"), 5.0)
            found = await find(cluster, await cluster.places_of(PREFIX), PREFIX)
            assert [(each.open.place[0], each.hangs) for each in found] == [(PREFIX + STATE, True)]
