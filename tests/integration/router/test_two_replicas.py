"""Two replicas in their own processes; one is killed without warning.

It may hold a desk's session, the shard, or both: that costs the agent a reconnect, never an interaction.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chapar.router.v1 import router_pb2 as api
from services.cli.desk import Desk, DeskClosed
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.router.stand import SECRET, Bench, a_bench, a_token

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

INTERACTIONS = 40


class Replica:
    """One replica in its own process."""

    def __init__(self, name: str, kafka: KafkaUnderTest, prefix: str, folder: Path) -> None:
        self._endpoints = folder / f"{name}.json"
        self._log = folder / f"{name}.log"
        secret = folder / "jwt"
        secret.write_text(SECRET)
        self._env = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "CHAPAR_TOPIC_PREFIX": prefix,
            "CHAPAR_ENDPOINTS_FILE": str(self._endpoints),
            "CHAPAR_ROUTER_INSTANCE": name,
            "CHAPAR_ROUTER_INSECURE_DEV": "true",
            "CHAPAR_ROUTER_JWT__SECRET_FILE": str(secret),
            "CHAPAR_ROUTER_LEASE_RENEWAL_MS": "1000",
            "CHAPAR_ROUTER_COMMAND_TIMEOUT_S": "5",
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process; return when it is ready."""
        self._endpoints.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.router", env=self._env, stdout=log, stderr=log
            )
        async with asyncio.timeout(60):
            while not await self._ready():  # noqa: ASYNC110 - another process: there is no event to wait for
                await asyncio.sleep(0.1)

    async def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, self._log.read_text()
        try:
            host, _, port = json.loads(self._endpoints.read_text())["ops"].rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
        except (OSError, KeyError):
            return False
        writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
        status = await reader.readline()
        writer.close()
        return b" 200 " in status

    @property
    def address(self) -> str:
        """The address of its gRPC server."""
        return str(json.loads(self._endpoints.read_text())["grpc"])

    async def end(self, how: signal.Signals) -> None:
        """Send a signal, and wait until the process has ended."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
        await self._process.wait()


@asynccontextmanager
async def replicas(kafka: KafkaUnderTest, prefix: str, folder: Path) -> AsyncIterator[list[Replica]]:
    """Run two replicas that are ready."""
    both = [Replica(f"router-{n}", kafka, prefix, folder) for n in range(2)]
    try:
        await asyncio.gather(*(replica.start() for replica in both))
        yield both
    finally:
        await asyncio.gather(*(replica.end(signal.SIGKILL) for replica in both))


class Agent:
    """An agent who accepts, replies and completes everything they are given, including what they find when a session resumes."""

    def __init__(self, desk: Desk, tasks: asyncio.TaskGroup) -> None:
        self.desk = desk
        self._tasks = tasks
        self._busy: set[str] = set()

    async def run(self) -> None:
        """Work until the desk is closed."""
        async for event in self.desk.events():
            match event.WhichOneof("response"):
                case "welcome":
                    for view in event.welcome.snapshot.assignments:
                        self._handle(view.interaction.interaction_id, None)
                    for offer in event.welcome.snapshot.offers:
                        self._handle(offer.interaction.interaction_id, offer.offer_id)
                case "offered":
                    self._handle(event.offered.interaction.interaction_id, event.offered.offer_id)

    def _handle(self, interaction_id: str, offer_id: str | None) -> None:
        if interaction_id not in self._busy:
            self._tasks.create_task(self._serve(interaction_id, offer_id))

    async def _serve(self, interaction_id: str, offer_id: str | None) -> None:
        try:
            if offer_id is not None and not (await self.desk.accept(offer_id)).ok:
                return
            if interaction_id in self._busy:
                return
            self._busy.add(interaction_id)
            steps = (self._reply(interaction_id), self.desk.complete(interaction_id))
            for step in steps:
                result: api.RequestResult = await step
                if not result.ok:
                    self._busy.discard(interaction_id)
        except DeskClosed:
            return

    def _reply(self, interaction_id: str):  # type: ignore[no-untyped-def]  # a coroutine of RequestResult
        return self.desk.reply(interaction_id, f"answer to {interaction_id}")


async def everything_completed(bench: Bench, interactions: list[str], within_s: float) -> None:
    """Wait until each interaction is completed, and check that it was completed once.

    Events and replies come from two readers: each is read up to the last interaction.
    """

    def done() -> bool:
        replied = {record.request.interaction_id for record in bench.outbound}
        return replied.issuperset(interactions) and all("completed" in bench.story(i) for i in interactions)

    await bench.until(done, within_s)
    for interaction in interactions:
        counts = Counter(bench.story(interaction))
        assert counts["completed"] == 1
        assert counts["agent_replied"] == 1
    replies = {record.request.request_id: record.request.interaction_id for record in bench.outbound}
    assert sorted(replies.values()) == sorted(interactions)
    assert len({event.event_id for event in bench.events}) == len(bench.events)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("victim", [0, 1])
async def test_killing_a_replica_costs_a_reconnect_and_no_interaction(
    victim: int, kafka: KafkaUnderTest, prefix: str, tmp_path: Path
) -> None:
    """Whichever of the two is killed while agents work, every interaction is answered once and completed once."""
    async with a_bench(kafka.settings(prefix)) as bench, replicas(kafka, prefix, tmp_path) as both:
        await bench.configure()
        addresses = [replica.address for replica in both]
        interactions: list[str] = []
        async with (
            asyncio.TaskGroup() as tasks,
            Desk(addresses, a_token("agent-0")) as first,
            Desk(addresses[::-1], a_token("agent-1")) as second,
        ):
            agents = [Agent(desk, tasks) for desk in (first, second)]
            listening = [tasks.create_task(agent.run()) for agent in agents]
            await asyncio.gather(first.welcomed(), second.welcomed())
            for number in range(INTERACTIONS):
                if number == INTERACTIONS // 2:
                    await both[victim].end(signal.SIGKILL)
                interactions.append(await bench.enqueue("sales" if number % 2 else "support"))
                await asyncio.sleep(0.02)  # arrivals spread around the kill
            await everything_completed(bench, interactions, within_s=90)
            assert (first, second)[victim].sessions >= 2, "its desk has reconnected"
            for task in listening:
                task.cancel()


@pytest.mark.timeout(180)
async def test_a_replica_that_is_asked_to_stop_sends_its_desks_elsewhere(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path
) -> None:
    """On SIGTERM the desk resumes at the other replica with its interactions, well before any lease ends."""
    async with a_bench(kafka.settings(prefix)) as bench, replicas(kafka, prefix, tmp_path) as both:
        await bench.configure()
        async with Desk([replica.address for replica in both], a_token("agent-0")) as desk:
            await desk.welcomed()
            interaction = await bench.enqueue()
            offer = (await desk.next("offered")).offered
            assert (await desk.accept(offer.offer_id)).ok
            stopping = asyncio.gather(both[0].end(signal.SIGTERM))
            welcome = (await desk.next("welcome")).welcome
            assert [view.interaction.interaction_id for view in welcome.snapshot.assignments] == [interaction]
            assert (await desk.reply(interaction, "still here")).ok
            assert (await desk.complete(interaction)).ok
            await stopping
        await bench.until(lambda: "completed" in bench.story(interaction))
        assert bench.story(interaction).count("assigned") == 1
