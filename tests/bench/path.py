"""Life cycles a second through the real router process: `[KAFKA_BOOTSTRAP_SERVERS=…] python -m tests.bench.path
[seconds] [--profile FILE]`.

A life cycle is nine commands: enqueue, accept, customer's message, reply, update, customer's message, reply, complete,
end of wrap-up; and an offer between the first and the second. This process acts as the gateway: it signs agents in,
keeps a fixed number of interactions in flight, reads its partition of the feed, and follows each offer with the eight
other commands, five of them with a result that it waits for. So the router does all its real work (events, journal,
feed, changelog, transactions) except its gRPC.

Besides the figure it prints where the CPU time went, and the lane's own metrics. `--profile` runs the router under
cProfile: this is good for the shares, not for the figure, which is then not reported.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import uvloop
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from chapar.router.v1 import records_pb2 as pb
from services.chassis.clock import system_clock
from services.chassis.cluster_topics import apply as apply_topics
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.cli.config import publishing
from services.cli.local.development import environment_of, make_keys
from services.cli.local.stack import read_config
from services.cli.local.workspace import Workspace
from tests.bench.figures import tell
from tests.bench.stand import QUEUE, TENANT, Cpu, a_broker, a_configuration, a_home, begin, broker_pid

AGENTS, IN_FLIGHT, WARM_UP_S = 20, 600, 10.0
GATEWAY, FEED_PARTITION = "bench-gateway", 3
GOAL = ">=3000"
COMMANDS, FEED = "routing.commands.v1", "gateway.feed.v1"
POOL_KEY: Final = f"{TENANT}/default".encode()
_READY_S = 60.0


class Driver:
    """The gateway of the bench. Commands are appended to one batch at a time, in order."""

    def __init__(self, producer: Any, topic: str, partition: int) -> None:
        self._producer, self._topic, self._partition = producer, topic, partition
        self._waiting: list[bytes] = []
        self._more = asyncio.Event()
        self._number = 0
        self.signed_in = 0
        self.all_in = asyncio.Event()
        self.completed = 0
        self.refused: dict[str, int] = {}
        self.offered_ms: list[int] = []

    def command(self, command_id: str, *, answer: bool, **body: Any) -> None:
        """Put a command into the next batch."""
        command = pb.RoutingCommand(
            command_id=command_id, tenant=TENANT, pool="default", issued_at_ms=system_clock(), **body
        )
        if answer:
            command.reply_to.gateway_id = GATEWAY
            command.reply_to.feed_partition = FEED_PARTITION
        self._waiting.append(command.SerializeToString())
        self._more.set()

    def sign_in(self, number: int) -> None:
        """Sign an agent in and keep them signed in."""
        body = pb.SignIn(agent_id=f"a{number}", session_id=f"session-{number}", state=pb.AGENT_STATE_AVAILABLE)
        self.command(f"sign-in-{number}", answer=True, sign_in=body)

    def enqueue(self) -> None:
        """Enqueue a new interaction; ids are as long as the real ones."""
        self._number += 1
        name = f"8f14e45f-ceea-5167-a1b2-{self._number:012d}"
        attributes = pb.InteractionAttributes(
            interaction_id=name,
            conversation_id=f"c{name[1:]}",
            person_id=f"p{name[1:]}",
            identity_id=f"i{name[1:]}",
            channel="grpc",
            account="default",
            language="fa",
            queue=QUEUE,
            arrived_at_ms=system_clock(),
            rule="everything",
        )
        self.command(f"{name}.enqueue", answer=False, enqueue=pb.Enqueue(interaction=attributes))

    def hear(self, record: pb.FeedRecord) -> None:
        """Handle one record of the feed."""
        kind = record.WhichOneof("record")
        if kind == "offered":
            self.offered_ms.append(record.offered.offered_at_ms - record.offered.interaction.arrived_at_ms)
            self._follow(record.agent_id, record.offered)
        elif kind == "result":
            if not record.result.ok:
                self.refused[record.result.reason] = self.refused.get(record.result.reason, 0) + 1
            if record.result.command_id.endswith(".end"):
                self.completed += 1
                self.enqueue()
            elif record.result.command_id.startswith("sign-in"):
                self.signed_in += 1
                if self.signed_in == AGENTS:
                    self.all_in.set()

    def _follow(self, agent: str, offer: pb.OfferView) -> None:
        name, tell_it = offer.interaction.interaction_id, self.command
        wrote, answered = pb.CustomerMessaged, pb.RecordReply
        tell_it(f"{name}.accept", answer=True, accept_offer=pb.AcceptOffer(agent_id=agent, offer_id=offer.offer_id))
        for turn in "12":
            said = wrote(interaction_id=name, message_id=f"{name}.m{turn}", at_ms=system_clock())
            tell_it(f"{name}.said{turn}", answer=False, customer_messaged=said)
            reply = answered(agent_id=agent, interaction_id=name, reply_id=f"{name}.r{turn}")
            tell_it(f"{name}.reply{turn}", answer=True, record_reply=reply)
            if turn == "1":
                labels = pb.UpdateInteraction(interaction_id=name, labels={"tier": "gold"})
                tell_it(f"{name}.update", answer=False, update_interaction=labels)
        done = pb.CompleteInteraction(agent_id=agent, interaction_id=name, disposition="solved")
        tell_it(f"{name}.complete", answer=True, complete_interaction=done)
        tell_it(f"{name}.end", answer=True, end_wrap_up=pb.EndWrapUp(agent_id=agent, interaction_id=name))

    async def write(self) -> None:
        """Write batches, forever; the next one is filled while the broker takes the last one."""
        while True:
            await self._more.wait()
            self._more.clear()
            values, self._waiting = self._waiting, []
            batch, now = self._producer.create_batch(), system_clock()
            for value in values:
                if batch.append(timestamp=now, key=POOL_KEY, value=value, headers=[]) is None:
                    await self._producer.send_batch(batch, self._topic, partition=self._partition)
                    batch = self._producer.create_batch()
                    batch.append(timestamp=now, key=POOL_KEY, value=value, headers=[])
            await (await self._producer.send_batch(batch, self._topic, partition=self._partition))


@asynccontextmanager
async def a_router(home: Workspace, kafka: KafkaSettings, profile: Path | None) -> AsyncIterator[tuple[int, str]]:
    """Run the router as `chapar run` starts it, until ready; yield its process id and the address of its metrics."""
    ops = home.ports(["ops"])["ops"]
    make_keys(home)
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "CHAPAR_TOPIC_PREFIX": kafka.topic_prefix,
        "CHAPAR_ROUTER_OPS_PORT": str(ops),
        "CHAPAR_ROUTER_INSECURE_DEV": "true",
        "CHAPAR_ROUTER_INSTANCE": "router",
        "CHAPAR_ROUTER_DRAIN_S": "0",
        **environment_of(home, "router"),
    }
    under = ["-m", "cProfile", "-o", str(profile)] if profile is not None else []
    log = home.directory("logs") / "router.log"
    with log.open("w") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *under, "-m", "services.router", env={**os.environ, **environment}, stdout=out, stderr=out
        )
    try:
        await _until_ready(process, f"http://127.0.0.1:{ops}/readyz", log)
        yield process.pid, f"http://127.0.0.1:{ops}/metrics"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    async with asyncio.timeout(_READY_S), httpx.AsyncClient() as http:
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"the router ended with {process.returncode}: see {log}")
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass  # not listening yet
            await asyncio.sleep(0.05)


async def _metrics(url: str) -> dict[str, float]:
    """Return the sums over all labels, by sample name."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(url)).text
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


async def run(seconds: float, profile: Path | None) -> int:
    """Print the figure, and where the time goes."""
    with a_home() as home:
        async with a_broker() as kafka:
            await apply_topics(kafka)
            file = home.directory("config") / "bench.yaml"
            file.write_text(a_configuration(AGENTS))
            await publishing.apply(kafka, read_config(file).configuration, system_clock)
            async with a_router(home, kafka, profile) as (pid, metrics):
                return await _drive(kafka, pid, metrics, seconds, profile is None)


async def _partition_of_the_pool(kafka: KafkaSettings, producer: Any) -> int:
    """Return the partition to which Kafka's own partitioner assigns the pool's commands."""
    partitions = sorted(await producer.partitions_for(kafka.topic_prefix + COMMANDS))
    return int(producer._partitioner(POOL_KEY, partitions, partitions))


async def _drive(kafka: KafkaSettings, router: int, metrics: str, seconds: float, figure: bool) -> int:
    producer = AIOKafkaProducer(**kafka.client_options(), acks="all", linger_ms=0, max_batch_size=256 << 10)
    await producer.start()
    try:
        partition = await _partition_of_the_pool(kafka, producer)
        driver = Driver(producer, kafka.topic_prefix + COMMANDS, partition)
        listening = asyncio.Event()

        async def listen() -> None:
            async with aclosing(tail(kafka, FEED, [FEED_PARTITION], "end", caught_up=listening.set)) as records:
                async for record in records:
                    message = pb.FeedRecord.FromString(record.value or b"")
                    if message.gateway_id == GATEWAY:
                        driver.hear(message)

        async with asyncio.TaskGroup() as tasks:
            helpers = [tasks.create_task(listen()), tasks.create_task(driver.write())]
            await listening.wait()
            for number in range(AGENTS):
                driver.sign_in(number)
            async with asyncio.timeout(_READY_S):
                await driver.all_in.wait()
            for _ in range(IN_FLIGHT):
                driver.enqueue()
            await asyncio.sleep(
                min(WARM_UP_S, seconds)
            )  # a bench measures over time: there is no condition to wait for
            pids = {"router": router, "broker": broker_pid(kafka), "driver": os.getpid()}
            cpus = {who: Cpu(pid) for who, pid in pids.items() if pid is not None}
            before, done, begun = await _metrics(metrics), driver.completed, time.monotonic()
            driver.offered_ms.clear()
            await asyncio.sleep(seconds)
            elapsed, cycles = time.monotonic() - begun, driver.completed - done
            used = {who: cpu.used_s() for who, cpu in cpus.items()}
            after = await _metrics(metrics)
            for helper in helpers:
                helper.cancel()
    finally:
        await producer.stop()
    if driver.refused or not cycles:
        print(f"{cycles} cycles, refused: {driver.refused}", file=sys.stderr)
        return 1
    _explain(before, after, used, cycles, elapsed)
    rate = round(cycles / elapsed, 1)
    if figure:
        details = {f"{who}_cpu_us_a_cycle": round(1e6 * s / cycles) for who, s in used.items()}
        tell("path_interactions_per_s", rate, "1/s", GOAL, in_flight=IN_FLIGHT, **details)
    else:
        print(f"{rate} life cycles/s under the profiler")
    return 0


def _explain(
    before: dict[str, float], after: dict[str, float], used: dict[str, float], cycles: int, elapsed: float
) -> None:
    """Print where the time went: CPU by process, and the lane's own metrics."""
    for who, seconds in used.items():
        print(
            f"{who:7} {100 * seconds / elapsed:5.0f} % of a core, {1e6 * seconds / cycles:6.0f} us of CPU a life cycle"
        )

    def grown(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    commits, records = grown("chapar_lane_commit_seconds_count"), grown("chapar_lane_committed_records_total")
    if commits:
        waited = 1000 * grown("chapar_lane_commit_seconds_sum") / commits
        print(f"lane    {commits / elapsed:.0f} commits/s of {records / commits:.0f} records, {waited:.1f} ms each")
    print(f"loop    {after.get('chapar_event_loop_lag_seconds', 0) * 1000:.0f} ms late at most in the last 10 s")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=20.0)
    parser.add_argument("--profile", type=Path, help="run the router under cProfile and write its statistics here")
    given = parser.parse_args()
    begin()
    return uvloop.run(run(given.seconds, given.profile))


if __name__ == "__main__":
    sys.exit(main())
