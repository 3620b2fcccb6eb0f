"""A chaos campaign: processes kill or stop themselves at named points while records flow, and a checker reads the result."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil  # type: ignore[import-untyped] # its stubs are a separate package, for one call
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.chassis.kafka.changelog import read_changelog
from services.chassis.kafka.groups import GroupDirectory
from services.chassis.kafka.records import EPOCH_HEADER, Record
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from tests.chaos.lane import worker
from tests.chaos.lane.fold import OUT, SPEC, State, decode, follow

SESSION_MS = 1500
KEYS = 200
_RESTORED_WITHIN_S = 3.0
_NO_FAULT_FOR_S = 60.0
_PROVOKED_AFTER_S = 5.0


@dataclass(frozen=True)
class Fault:
    """The fault that a process inflicts on itself, at the n-th passing of a point."""

    point: str
    times: int
    action: str = "kill"


@dataclass
class Verdict:
    """The checker's result. All zero is clean."""

    lost: int = 0
    doubled: int = 0
    state_errors: int = 0
    late_writes: int = 0
    """Records that a reader sees from an ownership that already had a successor."""
    replied_twice: int = 0
    replied_in_vain: int = 0
    """Replies for records whose outputs never became visible."""
    healthy_fenced: int = 0
    """Times that a process was fenced which never had been stopped."""
    faults: int = 0
    owners: int = 0

    @property
    def clean(self) -> bool:
        return not (
            self.lost
            or self.doubled
            or self.state_errors
            or self.late_writes
            or self.replied_twice
            or self.replied_in_vain
            or self.healthy_fenced
        )


@dataclass
class Slot:
    """A slot for one process at a time."""

    process: ForkServerProcess
    fault: Fault
    name: str
    resumed: bool = False

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def stopped(self) -> bool:
        """Whether the process is stopped by SIGSTOP."""
        try:
            return self.process.is_alive() and bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
        except psutil.NoSuchProcess:  # it died between the two questions
            return False


@dataclass
class Campaign:
    """`run` plays the faults, feeds records meanwhile, and ends when all are handled (or nothing more happens)."""

    kafka: KafkaSettings
    home: Path
    faults: tuple[Fault, ...]
    partitions: int = 8
    processes: int = 3
    records: int = 20_000
    mutation: str = ""
    old_protocol: bool = False
    patience: float = 30.0
    _seen: list[Record] = field(default_factory=list)
    _fed: int = 0
    _played: int = 0
    _born: int = 0
    _stopped: set[str] = field(default_factory=set)
    _waiting: deque[Fault] = field(default_factory=deque)
    _slots: list[Slot] = field(default_factory=list)

    async def run(self) -> Verdict:
        await self._create_topics()
        self._waiting.extend(self.faults)
        following = asyncio.create_task(self._follow())
        producer = AIOKafkaProducer(**self.kafka.client_options(), linger_ms=2, acks="all")
        await producer.start()
        try:
            for _ in range(self.processes):
                self._spawn()
            async with GroupDirectory(self.kafka) as directory:
                await self._play(producer, directory)
        finally:
            await producer.stop()
            following.cancel()
            await asyncio.wait({following})
            for slot in self._slots:
                _dismiss(slot)
        return await self._judge()

    async def _play(self, producer: AIOKafkaProducer, directory: GroupDirectory) -> None:
        """Feed a share of the records at each fault, and a few whenever all are handled, so that the next fault interrupts some work."""
        share = -(-self.records // (len(self.faults) + 1))
        feeding, moved_at, before = share, time.monotonic(), (-1, -1)
        played_at = provoked_at = moved_at
        while True:
            if feeding:
                await self._feed(producer, feeding)
            played = self._played
            await self._tend(directory)
            if self._played != played:
                played_at = provoked_at = time.monotonic()
            elif self._played < len(self.faults) and time.monotonic() - provoked_at > _PROVOKED_AFTER_S:
                provoked_at = time.monotonic()
                self._provoke()
            handled = len(self._seen)
            if (handled, self._played) != before:
                before, moved_at = (handled, self._played), time.monotonic()
            quiet = time.monotonic() - moved_at
            finished = self._played == len(self.faults)
            if finished and handled >= self._fed >= self.records and quiet > 1.0:
                return  # a second without records: a late write of a zombie would be visible
            if quiet > self.patience or time.monotonic() - played_at > _NO_FAULT_FOR_S:
                return
            left = max(0, self.records - self._fed)
            feeding = min(share, left) if finished else share * (self._played - played)
            if not finished and not feeding and handled >= self._fed:
                feeding = 25 * self.partitions
            await asyncio.sleep(0.02)

    async def _tend(self, directory: GroupDirectory) -> None:
        """Replace dead processes; resume stopped ones when they have a successor."""
        for slot in list(self._slots):
            if slot.process.exitcode is not None:
                assert slot.process.exitcode == -signal.SIGKILL, f"{slot.name} ended: {slot.process.exitcode}"
                self._played += 1
                self._slots.remove(slot)
                self._spawn()
            elif slot.resumed and self._waiting and worker.restored_file(self.home, slot.name).exists():
                _dismiss(slot)  # it is an owner again; the next fault needs its place
                self._slots.remove(slot)
                self._spawn()
            elif slot.fault.action == "stop" and not slot.resumed and slot.stopped:
                if len(self._slots) == 1:
                    self._spawn()  # another process must succeed it
                owners = await directory.owners(SPEC.group, SPEC.input)
                if len(owners) == self.partitions and slot.name not in owners.values():
                    await self._until_successors_restored(slot)
                    self._played += 1
                    slot.resumed = True
                    worker.restored_file(self.home, slot.name).unlink(missing_ok=True)
                    self._stopped.add(slot.name)
                    os.kill(slot.pid, signal.SIGCONT)

    def _provoke(self) -> None:
        """Kill one process at any point: the fault of another may need a rebalance, or an owner who died. The oldest whose
        own fault is played, if there is one."""
        slot = min(self._slots, key=lambda slot: not (slot.resumed or slot.fault.action == "none"))
        self._slots.remove(slot)
        if not (slot.resumed or slot.fault.action == "none"):
            self._waiting.append(slot.fault)
        _dismiss(slot)
        self._spawn()

    async def _until_successors_restored(self, zombie: Slot) -> None:
        """Wait until the successors have restored: only then can the zombie do harm. (Their writes may be invisible
        until the zombie's open transaction is settled.) Without fencing they restore after that only: then go on."""
        given_up = time.monotonic() + _RESTORED_WITHIN_S
        while time.monotonic() < given_up:
            successors = [s for s in self._slots if s is not zombie and s.process.is_alive() and not s.stopped]
            if successors and all(worker.restored_file(self.home, s.name).exists() for s in successors):
                return
            await asyncio.sleep(0.02)

    async def _create_topics(self) -> None:
        admin = AIOKafkaAdminClient(**self.kafka.client_options())
        await admin.start()
        try:
            compact = {"cleanup.policy": "compact"}
            names = (self.kafka.topic_prefix + name for name in (SPEC.input, OUT))
            state = self.kafka.topic_prefix + SPEC.changelog_topic
            await admin.create_topics(
                [
                    *(NewTopic(name, self.partitions, 1) for name in names),
                    NewTopic(state, self.partitions, 1, topic_configs=compact),
                ]
            )
        finally:
            await admin.close()

    def _spawn(self) -> None:
        fault = self._waiting.popleft() if self._waiting else Fault("", 0, "none")
        self._born += 1
        name = f"w{self._born}"
        orders = worker.Orders(
            bootstrap=self.kafka.bootstrap_servers,
            prefix=self.kafka.topic_prefix,
            name=name,
            mutation=self.mutation,
            home=str(self.home),
            session_ms=SESSION_MS,
            old_protocol=self.old_protocol,
            point=fault.point,
            times=fault.times,
            action=fault.action,
        )
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([worker.__name__])
        process = context.Process(target=worker.obey, args=(orders,), daemon=True)
        process.start()
        self._slots.append(Slot(process, fault, name))

    async def _feed(self, producer: AIOKafkaProducer, count: int) -> None:
        topic = self.kafka.topic_prefix + SPEC.input
        for number in range(self._fed, self._fed + count):
            await producer.send(topic, b"%d" % number, b"k%d" % (number % KEYS))
        await producer.flush()
        self._fed += count

    async def _follow(self) -> None:
        async with aclosing(tail(self.kafka, OUT)) as records:
            async for record in records:
                self._seen.append(record)

    # -- the checker

    async def _judge(self) -> Verdict:
        verdict = Verdict(faults=self._played)
        times = Counter(_number(record) for record in self._seen)
        verdict.lost = sum(1 for number in range(self._fed) if b"%d" % number not in times)
        verdict.doubled = sum(count - 1 for count in times.values())
        verdict.late_writes, verdict.owners = self._late_writes()
        verdict.state_errors = await self._state_errors()
        replies = Counter(number.encode() for number in self._lines("replies"))
        verdict.replied_twice = sum(count - 1 for count in replies.values())
        verdict.replied_in_vain = sum(1 for number in replies if number not in times)
        verdict.healthy_fenced = sum(name not in self._stopped for name in self._lines("fenced"))
        return verdict

    def _lines(self, file: str) -> Iterator[str]:
        path = self.home / file
        if path.exists():
            yield from path.read_text().split()

    def _late_writes(self) -> tuple[int, int]:
        """Check that epochs never decrease per lane and output partition; return how often they did and how many ownerships wrote."""
        newest: dict[tuple[int, bytes], int] = defaultdict(int)
        ownerships: set[tuple[bytes, int]] = set()
        late = 0
        for record in self._seen:  # in order of offset per output partition
            lane = (record.value or b"").partition(b":")[0]
            epoch = int(dict(record.headers)[EPOCH_HEADER])
            ownerships.add((lane, epoch))
            late += epoch < newest[record.partition, lane]
            newest[record.partition, lane] = max(epoch, newest[record.partition, lane])
        return late, len(ownerships)

    async def _state_errors(self) -> int:
        expected: dict[bytes, State] = {}
        done = asyncio.Event()
        read = 0
        async with aclosing(tail(self.kafka, SPEC.input, caught_up=done.set)) as records:
            async for record in records:
                key = record.key or b""
                expected[key] = follow(expected.get(key, (0, "")), record.value or b"")
                read += 1
                if read == self._fed:
                    break
        actual: dict[bytes, State] = {}
        for partition in range(self.partitions):
            restored = await read_changelog(
                self.kafka,
                self.kafka.topic_prefix + SPEC.changelog_topic,
                partition,
                client_id="checker",
                progress=lambda read, total: None,
                close_timeout=3,
            )
            actual.update({key: decode(value) for key, value in restored.entries.items()})
        return sum(1 for key in expected.keys() | actual.keys() if expected.get(key) != actual.get(key))


def _dismiss(slot: Slot) -> None:
    if slot.process.exitcode is None:
        os.kill(slot.pid, signal.SIGKILL)
    slot.process.join()
    slot.process.close()


def _number(record: Record) -> bytes:
    return (record.value or b"").partition(b":")[2]
