"""Processes of the services: they run, stop for a while, die and come back, each with a clock of its own."""

from typing import Final

from services.chassis.kafka.progress import AWAY_S
from tests.simulation.world import World

_SKEW_MS: Final = 20
"""The difference between clocks that a time service keeps apart from a fault."""


class Process:
    """One process of a service. `run` counts its lives."""

    def __init__(self, world: World, service: str, number: int) -> None:
        self.world = world
        self.service = service
        self.name = f"{service}-{number}"
        self.run = 1
        self.absences = 0
        """How often it was stopped for so long that the broker seemed to be away."""
        self._down_until_ms = 0
        self._stopped_until_ms = 0
        self._skew_ms = world.chance.randint(-_SKEW_MS, _SKEW_MS) if world.likely(world.faults.skew) else 0

    @property
    def owner(self) -> str:
        """The id of this life, as attempts carry it."""
        return f"{self.name}.{self.run}"

    @property
    def alive(self) -> bool:
        """Whether it has started, be it stopped or not."""
        return self.world.now_ms >= self._down_until_ms

    @property
    def running(self) -> bool:
        """Whether it can do something now."""
        return self.world.now_ms >= max(self._down_until_ms, self._stopped_until_ms)

    @property
    def running_from_ms(self) -> int:
        """When it can do something again."""
        return max(self._down_until_ms, self._stopped_until_ms)

    def clock(self) -> int:
        """Return the time as this process sees it."""
        return self.world.now_ms + self._skew_ms

    def real(self, clock_ms: int) -> int:
        """Return when this process's clock shows `clock_ms`."""
        return clock_ms - self._skew_ms

    def crash(self) -> None:
        """Lose all memory; a new life begins later."""
        self.run += 1
        self._down_until_ms = self.world.within(100, 4_000)
        self._stopped_until_ms = 0
        self.world.reached["a process died"] += 1
        self.world.note(self.name, "dies")
        self.world.scheduler.wake_all()

    def stop(self, ms: int) -> None:
        """Do nothing for a while, without knowing it."""
        self._stopped_until_ms = self.world.now_ms + ms
        self.absences += ms > AWAY_S * 1000
        self.world.reached["a process stopped"] += 1
        self.world.note(self.name, f"stops for {ms} ms")
        self.world.scheduler.wake_all()
