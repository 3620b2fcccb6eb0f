"""A reader of a topic in a group, at least once: it handles records, then commits its offset; between the two it may die."""

from collections.abc import Callable, Sequence
from typing import Final

from services.chassis.kafka.records import Record
from tests.simulation.process import Process
from tests.simulation.world import World

Handle = Callable[[Process, Record], None]
_MOST_UNCOMMITTED: Final = 5


class SimulatedReader:
    """An actor: the reader of one partition."""

    def __init__(
        self, world: World, name: str, topic: str, partition: int, processes: Sequence[Process], handle: Handle
    ) -> None:
        self.world = world
        self.name = f"{name}/{partition}"
        self.input = world.log.partition(topic, partition)
        self._processes = processes
        self._handle = handle
        self._process = processes[0]
        self._run = self._process.run
        self._committed = 0
        self._next = 0

    def step(self) -> bool:
        """Handle one record, or commit the offset."""
        world = self.world
        uncommitted = self._next - self._committed
        if self._run != self._process.run or (uncommitted and world.goes_wrong(world.faults.relay_repeats)):
            world.reached["a reader read records again"] += bool(uncommitted)
            self._next = self._committed
            self._process = world.chance.choice(self._processes)
            self._run, uncommitted = self._process.run, 0
        if not self._process.running:
            return False
        if uncommitted and (uncommitted >= _MOST_UNCOMMITTED or self._next == len(self.input) or world.likely(0.2)):
            self._committed = self._next
            return True
        if self._next == len(self.input):
            return False
        self._next += 1
        self._handle(self._process, self.input[self._next - 1])
        return True

    def wakeup(self) -> int | None:
        """Return when its process runs again."""
        running_from_ms = self._process.running_from_ms
        return running_from_ms if running_from_ms > self.world.now_ms else None
