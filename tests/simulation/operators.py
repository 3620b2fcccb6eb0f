"""Operators: they replay dead letters of messages that could not be sent, some of them twice."""

from typing import Final

from chapar.common.v1 import dead_letter_pb2
from services.chassis.kafka.deadletters import DEAD_LETTERS
from services.chassis.kafka.headers import REPLAYED
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import Record
from tests.simulation.configuration import TENANTS
from tests.simulation.edges import Edges
from tests.simulation.log import PARTITIONS
from tests.simulation.world import World, earliest

_SHARE: Final = 0.6
_LATEST_MS: Final = 10_000


class Operators:
    """An actor; see the module."""

    def __init__(self, world: World, edges: Edges) -> None:
        self._world = world
        self._edges = edges
        self._read = [0] * PARTITIONS
        self._plan: list[tuple[int, Send]] = []

    def step(self) -> bool:
        """Read one dead letter, or replay one."""
        for number in range(PARTITIONS):
            place = self._world.log.partition(DEAD_LETTERS, number)
            if self._read[number] < len(place):
                self._look(place[self._read[number]])
                self._read[number] += 1
                return True
        due = next((each for each in self._plan if each[0] <= self._world.now_ms), None)
        if due is None:
            return False
        self._plan.remove(due)
        self._world.reached["a dead letter was replayed"] += 1
        self._world.note("operator", f"replays a dead letter of {due[1].topic}")
        self._edges.write(due[1])
        return True

    def wakeup(self) -> int | None:
        """Return when the next replay is due."""
        return earliest([at_ms for at_ms, _ in self._plan])

    def _look(self, record: Record) -> None:
        if (record.key or b"").partition(b"/")[0].decode() not in TENANTS:
            return  # poison: to replay it makes another dead letter
        letter = dead_letter_pb2.DeadLetter.FromString(record.value or b"")
        while self._world.likely(_SHARE):
            named = tuple((header.key, header.value) for header in letter.headers)
            send = Send(letter.origin_topic, None, letter.key, letter.value, (*named, (REPLAYED, b"1")))
            self._plan.append((self._world.within(0, _LATEST_MS), send))
