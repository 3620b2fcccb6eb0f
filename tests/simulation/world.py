"""What all actors of a run share: the seed's choices, the clock, the log, and the notes about what happened."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from services.chassis.kafka.outbox import Send
from services.chassis.kafka.partitioning import Partitioner
from services.chassis.kafka.records import Record
from tests.simulation.faults import Faults
from tests.simulation.keys import SeededKeys
from tests.simulation.log import SimulatedLog
from tests.simulation.mutations import Mutation
from tests.simulation.scheduler import Scheduler

BEGIN_MS: Final = 1_700_000_000_000
FOLD_EVERY: Final = 5
_RECOVERY_MS: Final = 20_000
"""After the last fault, all processes run again and all partitions have an owner within this time."""


@dataclass(slots=True)
class World:
    """See the module. `chance` makes every choice of the run; nothing else is random."""

    seed: int
    chance: Random
    faults: Faults
    partitioner: Partitioner
    mutation: Mutation | None = None
    now_ms: int = BEGIN_MS
    reached: Counter[str] = field(default_factory=Counter)
    """How often each rare path was taken."""
    violations: list[str] = field(default_factory=list)
    """Found while running; most are found in the log afterwards."""
    poison: set[str] = field(default_factory=set)
    """The places of records that no lane can read: topic, partition, offset."""
    lines: list[str] | None = None
    """The event log; None when no person will read it."""
    log: SimulatedLog = field(init=False)
    keys: SeededKeys = field(init=False)
    scheduler: Scheduler = field(init=False)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.chance)
        self.log = SimulatedLog(self.partitioner, self.scheduler.written)
        self.keys = SeededKeys(self.chance)

    def note(self, who: str, what: str) -> None:
        """Write a line of the event log. Callers on the hot path ask `lines` first."""
        if self.lines is not None:
            self.lines.append(f"{(self.now_ms - BEGIN_MS) / 1000:9.3f}  {who:<22} {what}")

    def likely(self, share: float) -> bool:
        """Return True with this probability."""
        return share > 0 and self.chance.random() < share

    def goes_wrong(self, share: float) -> bool:
        """Return True with this probability while faults happen, False after the last fault."""
        return self.now_ms < self.faults.until_ms and self.likely(share)

    def calm(self, at_ms: int) -> bool:
        """Return whether all faults and what follows from them were over at this time."""
        return at_ms >= self.faults.until_ms + _RECOVERY_MS

    def within(self, least_ms: int, most_ms: int) -> int:
        """Return a time between these, from now, ms."""
        return self.now_ms + self.chance.randint(least_ms, most_ms)

    @property
    def folded(self) -> bool:
        """Return whether the run ends with folds, which cost as much as the run."""
        return self.seed % FOLD_EVERY == 0

    def mutated(self, mutation: Mutation) -> bool:
        """Return whether the run has this bug on purpose."""
        return self.mutation is mutation

    def write(self, send: Send, at_ms: int | None = None) -> Record:
        """Append a record outside of a transaction, as a producer at an edge does."""
        written = self.now_ms if at_ms is None else at_ms
        return self.log.append(send.topic, send.key, send.value, send.headers, written, send.partition)


def earliest(times: Sequence[int | None]) -> int | None:
    """Return the earliest of these times; None when there is none."""
    return min((time for time in times if time is not None), default=None)
