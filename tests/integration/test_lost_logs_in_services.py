"""A service whose changelog or input was lost: it refuses the partitions concerned, says which, and goes on with everything else.

Then an operator decides by the commands of the runbook, and the running service continues.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chapar.audit.v1.audit_pb2 import AuditRecord
from chapar.common.v1.dead_letter_pb2 import DeadLetter
from chapar.config.v1 import config_pb2
from services.chassis import cluster_topics
from services.chassis.clock import system_clock
from services.chassis.kafka.intervention import LaneOperator, Repair
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import LANE_PARTITIONS
from services.cli.lane_table import LANES
from tests.contract.lane.real import read_all, recreate_topic
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.test_waiting_for_kafka import Started, started, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]
UNDECODABLE = b"\xff\xff\xff"
EVERY = range(LANE_PARTITIONS)


class Installation:
    """One service's lanes on an installation of its own. Records that no lane can read show where they come to: as dead letters."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self.kafka = kafka
        self.folder = folder
        self._producer = DurableProducer(kafka, client_id="feeder")

    async def create(self) -> None:
        """Create the topics, and put a configuration in force."""
        await cluster_topics.apply(self.kafka)
        tenant = config_pb2.TenantConfiguration(tenant="acme", time_zone="UTC", version=1)
        await self._producer.publish("config.v1", b"acme", tenant.SerializeToString(), timeout=30)

    async def close(self) -> None:
        await self._producer.__aexit__()

    async def feed(self, topic: str) -> None:
        """Write one record to each partition."""
        async with DurableProducer(self.kafka, client_id="feeder") as producer:
            for partition in EVERY:
                await producer.publish(topic, b"acme/x", UNDECODABLE, partition=partition, timeout=30)

    async def handled(self, topic: str) -> Counter[int]:
        """Count the records of a topic that a lane has handled, by partition."""
        letters = [
            DeadLetter.FromString(record.value or b"") for record in await read_all(self.kafka, "deadletters.v1")
        ]
        return Counter(letter.origin_partition for letter in letters if letter.origin_topic == topic)

    async def until_handled(self, topic: str, times: int, partitions: set[int]) -> None:
        """Wait until exactly these partitions have handled this number of records."""

        async def done() -> bool:
            found = await self.handled(topic)
            return {partition for partition in EVERY if found[partition] == times} == partitions

        await until(done, f"{topic}: partitions {partitions} have handled {times} records")

    async def with_history(self, service: str, *topics: str) -> None:
        """Let the lanes handle a record of each partition, and let their groups know their positions."""
        async with self.running(service) as running:
            for topic in topics:
                await self.feed(topic)
            for topic in topics:
                await self.until_handled(topic, 1, set(EVERY))
            assert (await running.get("/readyz")).json()["degraded"] == {}

    @asynccontextmanager
    async def running(self, service: str, status: int = 200) -> AsyncIterator[Started]:
        """Run the service; its lanes have started, or have refused to."""
        async with started(service, self.kafka, self.folder) as running:

            async def settled() -> bool:
                answer = await running.get("/readyz")
                return answer.status_code == status and (status == 200 or bool(answer.json()["degraded"]))

            await until(settled, f"{service} answers {status}")
            yield running

    def chapar(self, *words: str, code: int = 0) -> Any:
        """Run a command as an operator does; return what it printed."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CHAPAR_", "KAFKA_"))},
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "CHAPAR_TOPIC_PREFIX": self.kafka.topic_prefix,
            "CHAPAR_TENANT": "acme",
            "CHAPAR_HOME": str(self.folder / "home"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", *words, "--json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if code == 0 else done.stderr

    async def operate(self, *words: str, code: int = 0) -> Any:
        return await asyncio.to_thread(self.chapar, *words, code=code)


@pytest.fixture
async def installation(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> AsyncIterator[Installation]:
    made = Installation(kafka.settings(prefix), tmp_path)
    await made.create()
    yield made
    await made.close()


async def refused(service: Started) -> dict[str, str]:
    """Return partition -> reason as the metric shows them."""
    lines = [
        line for line in (await service.get("/metrics")).text.splitlines() if line.startswith("chapar_lane_refused{")
    ]
    return {line.split('partition="')[1].split('"')[0]: line.split('reason="')[1].split('"')[0] for line in lines}


async def test_one_partition_has_lost_its_inputs_tail(installation: Installation) -> None:
    """The router's others go on and it is ready. It says which partition waits; a reset lets it continue while it runs."""
    topic = LANES["router"].input
    await installation.with_history("router", topic)
    async with LaneOperator(installation.kafka, LANES["router"], clock=system_clock) as operator:
        await operator.decide(1, lambda situation: Repair(situation.input.end + 5))
    async with installation.running("router") as router:
        await installation.feed(topic)
        await installation.until_handled(topic, 2, {0, 2, 3})
        assert (await router.get("/readyz")).json() == {
            "status": "ready",
            "waiting_for": {},
            "degraded": {"shards": "partition 1 is refused: INPUT_TAIL_LOST"},
        }
        assert await refused(router) == {"1": "INPUT_TAIL_LOST"}
        shown = await installation.operate("lanes", "list", "router")
        assert [each["state"] for each in shown] == ["works", "refused", "works", "works"]
        assert "LANE_WORKS" in await installation.operate(
            "lanes", "reset", "router", "0", "--to", "end", "--yes", code=1
        )
        written = await installation.operate("lanes", "reset", "router", "1", "--to", "1", "--yes", "--actor", "mina")
        assert written["continues_at"] == 1
        await installation.until_handled(topic, 2, set(EVERY))
        assert (await router.get("/readyz")).json()["degraded"] == {}
        assert await refused(router) == {}
    (audited,) = [
        AuditRecord.FromString(record.value or b"") for record in await read_all(installation.kafka, "audit.v1")
    ]
    assert (audited.method, audited.subject, audited.targets[0].id) == ("chapar lanes reset", "mina", "router/1")


@pytest.mark.parametrize(
    ("lost", "reason"), [("ingest-intake.state.v1", "CHANGELOG_LOST"), ("inbound.v1", "INPUT_RECREATED")]
)
async def test_another_lane_goes_on(installation: Installation, lost: str, reason: str) -> None:
    """Intake has lost its changelog, or its input was deleted and created again and has outgrown the old position. The sender lane
    of the same process works; the process is not ready, and says what an operator must decide."""
    mine, other = LANES["ingest-intake"].input, LANES["ingest-sender"].input
    await installation.with_history("ingest", mine, other)
    await recreate_topic(installation.kafka, lost, LANE_PARTITIONS)
    for _ in range(2):
        await installation.feed(mine)
    async with installation.running("ingest", 503) as ingest:
        await until(lambda: all_are(ingest, reason), "every partition is refused")
        await installation.feed(other)
        await installation.until_handled(other, 2, set(EVERY))
        waiting: dict[str, str] = {}

        async def only_the_lane_waits() -> bool:
            waiting.clear()
            waiting.update((await ingest.get("/readyz")).json()["waiting_for"])
            return set(waiting) == {"intake lane"}

        await until(only_the_lane_waits, "the rest of the process is ready")
        assert (await ingest.get("/startupz")).status_code == 200
        assert f"partition 3 is refused: {reason}" in waiting["intake lane"]
        assert (await installation.handled(mine)).total() == LANE_PARTITIONS
        async with LaneOperator(installation.kafka, LANES["ingest-intake"], clock=system_clock) as operator:
            for partition in EVERY:
                await operator.decide(partition, lambda situation: Repair(situation.input.end))
        await installation.feed(mine)
        await installation.until_handled(mine, 2, set(EVERY))
        assert (await ingest.get("/readyz")).status_code == 200


async def all_are(service: Started, reason: str) -> bool:
    return await refused(service) == {str(partition): reason for partition in EVERY}


async def test_a_record_is_skipped_and_a_state_is_rebuilt(installation: Installation) -> None:
    """`deadletters skip` while the service is stopped, before a record that it has not read; `lanes rebuild` reads all of them again."""
    topic = LANES["sla"].input
    await installation.with_history("sla", topic)
    await installation.feed(topic)
    await installation.operate("deadletters", "skip", "sla", "2", "1", "--yes")
    async with installation.running("sla"):
        await installation.until_handled(topic, 2, set(EVERY))
    letters = [DeadLetter.FromString(r.value or b"") for r in await read_all(installation.kafka, "deadletters.v1")]
    skipped = [(each.origin_partition, each.origin_offset) for each in letters if each.reason == "SKIPPED_BY_OPERATOR"]
    assert skipped == [(2, 1)]
    written = await installation.operate("lanes", "rebuild", "sla", "3", "--yes")
    assert (written["continues_at"], written["again"]) == (0, 2)
    async with installation.running("sla"):
        await installation.until_handled(topic, 4, {3})
