"""A relay on the simulated log: publishes a batch, then commits its offset; between the two it may die or be replaced.

The rules are those that `relayed` states: per destination partition it writes in order; a predecessor that was not stopped
goes on with its batch, while its successor begins at the committed offset.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import TRACE_HEADERS
from services.chassis.kafka.relay import Convert, RelaySpec
from services.chassis.kafka.relayed import relayed_from
from tests.simulation.process import Process
from tests.simulation.world import World

_MOST_RECORDS: Final = 8


class _Member:
    """One member's batch under way: the records left to publish per destination, and the offset to commit after it."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.run = process.run
        self.left: list[deque[Send]] = []
        self.commits: int | None = None


class SimulatedRelay:
    """An actor: the relay of one partition."""

    def __init__(
        self, world: World, spec: RelaySpec, convert: Convert, partition: int, processes: Sequence[Process]
    ) -> None:
        self.world = world
        self.name = f"{spec.name}/{partition}"
        self.offset = 0
        self.place = spec.input, partition
        self.input = world.log.partition(*self.place)
        self._convert = convert
        self._processes = processes
        self._member: _Member | None = None
        self._former: list[_Member] = []
        self._free_from_ms = 0

    def step(self) -> bool:
        """Publish a record, or commit the offset, or begin a batch."""
        self._former = [each for each in self._former if each.run == each.process.run and each.left]
        former = next((each for each in self._former if each.process.running), None)
        if former is not None and self.world.likely(0.3):
            self._publish(former)
            return True
        if self._go_on_or_join():
            return True
        if former is not None:
            self._publish(former)
        return former is not None

    def _go_on_or_join(self) -> bool:
        member = self._member
        if member is not None and member.run != member.process.run:
            self.world.reached["a relay died"] += member.commits is not None
            member = self._member = None
            self._free_from_ms = self.world.within(100, 5_000)
        if member is None:
            return self._join()
        if not member.process.running:
            return False
        return self._go_on(member)

    def wakeup(self) -> int | None:
        """Return when a process can go on with it."""
        if self._member is None or self._member.run != self._member.process.run:
            return max(self._free_from_ms, min(each.running_from_ms for each in self._processes))
        waits = [each.process.running_from_ms for each in (*self._former, self._member) if not each.process.running]
        return min(waits, default=None)

    def _join(self) -> bool:
        free = [each for each in self._processes if each.running]
        if not free or self.world.now_ms < self._free_from_ms:
            return False
        self._member = _Member(self.world.chance.choice(free))
        return True

    def _go_on(self, member: _Member) -> bool:
        world = self.world
        if member.commits is None:
            return self._begin(member)
        if world.goes_wrong(world.faults.relay_repeats):
            self._former.append(member)
            self._member = None
            world.reached["a relay was replaced"] += 1
            world.note(self.name, f"{member.process.owner} is replaced before offset {member.commits}")
            return True
        if member.left:
            self._publish(member)
        else:
            self.offset, member.commits = member.commits, None
        return True

    def _begin(self, member: _Member) -> bool:
        records = self.input[self.offset : self.offset + self.world.chance.randint(1, _MOST_RECORDS)]
        if not records:
            return False
        lines: dict[tuple[str, int], deque[Send]] = {}
        for record in records:
            send = self._convert(record)
            if send is not None:
                cause = tuple(header for header in record.headers if header[0] in TRACE_HEADERS)
                send = send._replace(headers=(*send.headers, *cause, relayed_from(record)))
                where = send.topic, self.world.log.partition_of(send.key)
                lines.setdefault(where, deque()).append(send)
        member.left = list(lines.values())
        member.commits = self.offset + len(records)
        return True

    def _publish(self, member: _Member) -> None:
        line = self.world.chance.choice(member.left)
        self.world.write(line.popleft(), member.process.clock())
        if not line:
            member.left.remove(line)
