"""The cost of the lane: records/s of a lane whose domain only forwards, over the same transactions written by hand.

    KAFKA_BOOTSTRAP_SERVERS=host:port python -m tests.bench.lane_vs_raw

By hand means: the same batches of 500 records of 300 bytes, the same transactional client (version 2 of transactions), two
ids taking turns, the position in the same transaction; no processor, no outbox, no writer. Rounds alternate in one run, after
a warm-up of both; the figure is the ratio of the medians.
"""

import asyncio
import os
import statistics
import sys
import time
import uuid
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.chassis.clock import system_clock
from services.chassis.kafka.changelog import POSITION_KEY, Position
from services.chassis.kafka.clients import plain_reader
from services.chassis.kafka.contract import LaneContext, LaneSpec, LaneTuning, NoMetrics, Outbox
from services.chassis.kafka.records import Record
from services.chassis.kafka.runner import LaneRunner
from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.contents import RecordBatch
from services.chassis.kafka.transactions.producer import TransactionalId
from services.chassis.kafka.writer import Writer
from services.chassis.kafka_settings import KafkaSettings
from tests.bench.figures import tell

RECORDS, BATCH, ROUNDS, SIZE = 40_000, 500, 5, 300
WITHIN = 30.0
IN, OUT = "bench.in.v1", "bench.out.v1"


class Forward:
    """A domain that only forwards."""

    def __init__(self, context: LaneContext) -> None: ...
    def restore(self, key: bytes, value: bytes) -> None: ...
    def start(self, now_ms: int, outbox: Outbox) -> None: ...
    def begin(self, now_ms: int) -> None: ...
    def handle(self, record: Record, outbox: Outbox) -> None:
        outbox.send(OUT, record.key or b"", record.value or b"")

    def advance(self, now_ms: int, outbox: Outbox) -> None: ...
    def end(self, outbox: Outbox) -> None: ...
    def next_wakeup(self) -> int | None:
        return None


class Instant(NamedTuple):
    """Wall clock and this process's CPU, in seconds."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Self:
        return cls(time.monotonic(), time.process_time())

    def until(self, end: Self) -> "Rate":
        return Rate(RECORDS / (end.wall - self.wall), 1e6 * (end.cpu - self.cpu) / RECORDS)


class Rate(NamedTuple):
    """Records a second, and microseconds of this process's CPU a record."""

    per_s: float
    cpu_us: float


class Stopwatch(NoMetrics):
    """Measures from live to the last commit."""

    def __init__(self) -> None:
        self.began = self.ended = Instant(0.0, 0.0)
        self.records = 0
        self.done = asyncio.Event()

    def restored(self, lane: str, partition: int, entries: int, seconds: float) -> None:
        self.began = Instant.now()

    def committed(self, lane: str, partition: int, records: int, seconds: float) -> None:
        self.records += records
        if self.records == RECORDS:
            self.ended = Instant.now()
            self.done.set()


async def by_lane(kafka: KafkaSettings, name: str) -> Rate:
    watch = Stopwatch()
    writer = Writer(kafka, service=name)
    runner = LaneRunner(
        LaneSpec(name, IN, f"{name}.state", name),
        Forward,
        kafka,
        writer=writer,
        clock=system_clock,
        tuning=LaneTuning(max_batch_records=BATCH),
        metrics=watch,
    )
    async with writer, asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        await watch.done.wait()
        runner.stop()
    return watch.began.until(watch.ended)


async def by_hand(kafka: KafkaSettings, name: str) -> Rate:
    """The necessary minimum: fetch, two record batches, a transaction; two ids take turns."""
    reader = plain_reader(kafka, client_id=name)
    source = TopicPartition(kafka.topic_prefix + IN, 0)
    out, state = (kafka.topic_prefix + OUT, 0), (f"{kafka.topic_prefix}{name}.state", 0)
    async with Cluster(kafka, client_id=name, request_timeout_ms=15_000, close_timeout=3) as cluster:
        producers = [TransactionalId(cluster, f"{kafka.topic_prefix}{name}-{turn}", timeout_ms=15_000) for turn in "ab"]
        for producer in producers:
            await producer.initialise(WITHIN)
        await reader.start()
        reader.assign([source])
        reader.seek(source, 0)
        began, done, turn = Instant.now(), 0, 0
        committing: asyncio.Task[None] | None = None
        while done < RECORDS:
            messages = (await reader.getmany(source, timeout_ms=1000, max_records=BATCH)).get(source, [])
            if not messages:
                continue
            producer, turn = producers[turn], 1 - turn
            now = system_clock()
            output, position = a_batch(), a_batch()
            for number, message in enumerate(messages):
                output.append(number, now, message.key, message.value, [])
            position.append(0, now, POSITION_KEY, Position(messages[-1].offset + 1, now, 1).encode(), [])
            batches = {out: [RecordBatch(output, len(messages))], state: [RecordBatch(position, 1)]}
            await producer.append(batches, WITHIN)
            if committing is not None:
                await committing
            committing = asyncio.create_task(producer.commit(WITHIN))
            done += len(messages)
        assert committing is not None
        await committing
        rate = began.until(Instant.now())
    await reader.stop()
    return rate


def a_batch() -> Any:
    """Return an empty record batch that belongs to a transaction."""
    return DefaultRecordBatchBuilder(2, 0, 1, -1, -1, 0, 1_000_000)


async def main() -> int:
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        print("lane_vs_raw requires KAFKA_BOOTSTRAP_SERVERS (make kafka prints it)", file=sys.stderr)
        return 2
    kafka = KafkaSettings.from_environment().model_copy(update={"topic_prefix": f"bench-{uuid.uuid4().hex[:8]}."})
    rounds = [(kind, f"{kind}{number}") for number in range(ROUNDS + 1) for kind in ("raw", "lane")]
    names = [IN, OUT, "deadletters.v1", *(f"{name}.state" for _, name in rounds)]
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    await admin.create_topics([NewTopic(kafka.topic_prefix + name, 1, 1) for name in names])
    try:
        async with AIOKafkaProducer(**kafka.client_options(), linger_ms=5, max_batch_size=100_000) as feeder:
            for number in range(RECORDS):
                await feeder.send(kafka.topic_prefix + IN, os.urandom(SIZE), b"%d" % number)
        rates: dict[str, list[Rate]] = {"raw": [], "lane": []}
        for kind, name in rounds:
            rate = await (by_hand if kind == "raw" else by_lane)(kafka, name)
            rates[kind].append(rate)
            print(f"{name}: {rate.per_s:,.0f} records/s, {rate.cpu_us:.1f} us of CPU a record", flush=True)
    finally:
        await admin.delete_topics([kafka.topic_prefix + name for name in names])
        await admin.close()
    raw, lane = (statistics.median(rate.per_s for rate in rates[kind][1:]) for kind in ("raw", "lane"))
    raw_cpu, lane_cpu = (statistics.median(rate.cpu_us for rate in rates[kind][1:]) for kind in ("raw", "lane"))
    print(f"on a busy machine, compare the CPU: lane {lane_cpu:.1f} us, raw {raw_cpu:.1f} us a record")
    value = round(lane / raw, 3)
    details = {"lane_records_per_s": round(lane), "raw_records_per_s": round(raw), "batch": BATCH, "bytes": SIZE}
    tell(
        "lane_vs_raw", value, "ratio", ">=0.9", **details, lane_cpu_us=round(lane_cpu, 1), raw_cpu_us=round(raw_cpu, 1)
    )
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
