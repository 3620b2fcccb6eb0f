"""Chooses whose turn it is. An actor without anything to do sleeps until its time, or until something wakes it.

Something wakes an actor: a record in a partition that it reads, a process that dies or stops, a call of another actor. A wake-up
without a cause is harmless.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from random import Random
from typing import Protocol

from services.chassis.kafka.records import Record


class Actor(Protocol):
    """Something that acts: a lane's partition, a relay, a desk, a customer."""

    def step(self) -> bool:
        """Do one thing, if there is one to do now; return whether there was."""

    def wakeup(self) -> int | None:
        """Return when time alone gives it something to do, ms, always later than now; None: something else must wake it."""


class Scheduler:
    """The actors of a run."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._actors: list[Actor] = []
        self._awake: list[Actor] = []
        self._asleep: set[Actor] = set()
        self._alarms: list[tuple[int, int, Actor]] = []
        self._count = 0
        self._readers: dict[tuple[str, int], list[Actor]] = defaultdict(list)

    def add(self, actor: Actor, reads: Iterable[tuple[str, int]] = ()) -> None:
        """Add an actor, which records of these partitions wake."""
        self._actors.append(actor)
        self._awake.append(actor)
        for place in reads:
            self._readers[place].append(actor)

    def wake(self, actor: Actor) -> None:
        """Give an actor a turn."""
        if actor in self._asleep:
            self._asleep.remove(actor)
            self._awake.append(actor)

    def wake_all(self) -> None:
        """Give every actor a turn."""
        self._awake = list(self._actors)
        self._asleep.clear()

    def written(self, record: Record) -> None:
        """Wake the readers of a record's partition."""
        for actor in self._readers[record.topic, record.partition]:
            self.wake(actor)

    def turn(self, now_ms: int) -> bool:
        """Let one actor do one thing; return whether there was anything to do at this time."""
        alarms, awake = self._alarms, self._awake
        while alarms and alarms[0][0] <= now_ms:
            self.wake(heapq.heappop(alarms)[2])
        while awake:
            at = int(self._chance.random() * len(awake))
            actor = awake[at]
            if actor.step():
                return True
            awake = self._awake  # a step may wake others
            awake[awake.index(actor)] = awake[-1]
            awake.pop()
            self._asleep.add(actor)
            due = actor.wakeup()
            if due is not None:
                if due <= now_ms:
                    raise AssertionError(f"{actor} has nothing to do and wants to be woken {now_ms - due} ms ago")
                self._count += 1
                heapq.heappush(alarms, (due, self._count, actor))
        return False

    def next_alarm(self) -> int | None:
        """Return the time of the next alarm."""
        return self._alarms[0][0] if self._alarms else None
