"""The monkey: kills and stops processes, moves partitions, and writes poison, until the last fault."""

from collections.abc import Sequence
from typing import Final

from services.chassis.kafka.outbox import Send
from tests.simulation.lane import SimulatedLane
from tests.simulation.log import PARTITIONS
from tests.simulation.process import Process
from tests.simulation.world import World

_TURN_MS: Final = 4_000
"""The longest time between two of its turns."""
_LONGEST_STOP_MS: Final = 8_000
_POISONED: Final = ("inbound.v1", "outbound.v1", "routing.commands.v1", "feedback.commands.v1")
"""The inputs of lanes that are written by more than one lane or edge."""


class Monkey:
    """An actor; see the module."""

    def __init__(self, world: World, processes: Sequence[Process], lanes: Sequence[SimulatedLane]) -> None:
        self._world = world
        self._processes = processes
        self._lanes = lanes
        self._turn_ms = world.within(0, _TURN_MS)

    def step(self) -> bool:
        """Take one turn."""
        world, chance = self._world, self._world.chance
        if world.now_ms < self._turn_ms:
            return False
        self._turn_ms = world.within(1, _TURN_MS)
        if world.goes_wrong(world.faults.crash):
            chance.choice(self._processes).crash()
        if world.goes_wrong(world.faults.stall):
            chance.choice(self._processes).stop(chance.randint(500, _LONGEST_STOP_MS))
        if world.goes_wrong(world.faults.move):
            chance.choice(self._lanes).move()
        if world.goes_wrong(world.faults.poison):
            self._poison()
        return True

    def wakeup(self) -> int | None:
        """Return when its next turn is."""
        return self._turn_ms if self._world.now_ms < self._world.faults.until_ms else None

    def _poison(self) -> None:
        topic, partition = self._world.chance.choice(_POISONED), self._world.chance.randrange(PARTITIONS)
        record = self._world.write(Send(topic, partition, b"acme/poison", b"\xff\xff\xff", ()))
        self._world.poison.add(f"{topic}/{partition}/{record.offset}")
        self._world.reached["a record could not be read"] += 1
        self._world.note("monkey", f"poisons {topic}/{partition}/{record.offset}")
