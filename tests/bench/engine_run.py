"""Runs an engine through a part of its day, batch by batch as the lane does, and measures the cost of each command.

Per batch: due timers, then the batch's commands, then the changelog's entities. CPU time is the process's around each
of the three, so the producers of the commands do not count; the garbage collector runs as in production. Latency is
wall time around `handle` alone.
"""

import time
from dataclasses import dataclass, field
from typing import Any, Final

from services.router.domain import effects as fx
from services.router.domain.changelog.snapshot import collect
from services.router.domain.engine import Engine
from tests.bench.engine_fill import Watch
from tests.bench.engine_life import Life

TICK_MS: Final = 50
"""Virtual time of a batch: some thirty commands at 600 a second."""


@dataclass(slots=True)
class Measured:
    """CPU seconds by part, wall nanoseconds by kind of command; `timers_ns` by call of `advance`."""

    handle_s: float = 0.0
    advance_s: float = 0.0
    collect_s: float = 0.0
    entities: int = 0
    batches: int = 0
    virtual_ms: int = 0
    remembered: dict[str, Any] = field(default_factory=dict)
    """Chunks of remembered commands in the changelog, by number."""
    kinds: dict[str, list[int]] = field(default_factory=dict)
    timers_ns: list[int] = field(default_factory=list)

    @property
    def commands(self) -> int:
        """Number of commands."""
        return sum(map(len, self.kinds.values()))

    @property
    def seconds(self) -> float:
        """CPU seconds of decisions: commands and timers."""
        return self.handle_s + self.advance_s

    @property
    def us_a_command(self) -> float:
        """Microseconds of CPU per command, timers included."""
        return self.seconds / self.commands * 1e6

    @property
    def rate(self) -> int:
        """Commands a second of CPU time."""
        return round(self.commands / self.seconds)

    def sorted_ns(self) -> list[int]:
        """Wall time of each command, in ascending order."""
        return sorted(ns for spent in self.kinds.values() for ns in spent)

    def p99_ms(self) -> float:
        """99 of 100 commands took no longer than this."""
        return quantile(self.sorted_ns(), 0.99)


def quantile(sorted_ns: list[int], share: float) -> float:
    """Return the milliseconds at a quantile of sorted nanoseconds."""
    return sorted_ns[min(len(sorted_ns) - 1, int(share * len(sorted_ns)))] / 1e6


def run(engine: Engine, life: Life, commands: int, limit_s: float, watch: Watch | None = None) -> Measured:
    """Run at least `commands` commands, unless their CPU time reaches `limit_s` before."""
    measured = Measured()
    clock, cpu = time.perf_counter_ns, time.process_time
    given, began = 0, life.agenda.now
    while given < commands and measured.seconds < limit_s:
        now = life.agenda.now + TICK_MS
        start, wall = cpu(), clock()
        due = engine.next_wakeup()
        if due is not None and due <= now:
            fired = engine.advance(now)
            measured.timers_ns.append(clock() - wall)
            measured.advance_s += cpu() - start
            life.saw(fired)
            if watch is not None:
                watch(None, now, fired)
        batch = life.due(now)
        seen: list[list[fx.Effect]] = []
        spent: list[int] = []
        start = cpu()
        for command in batch:
            before = clock()
            effects = engine.handle(command, now)
            spent.append(clock() - before)
            seen.append(effects)
        middle = cpu()
        changes = collect(engine, now)
        measured.collect_s += cpu() - middle
        measured.handle_s += middle - start
        measured.entities += len(changes)
        measured.remembered.update({name: value for (kind, name), value in changes if kind == "d"})
        for command, ns, effects in zip(batch, spent, seen, strict=True):
            measured.kinds.setdefault(type(command).__name__, []).append(ns)
            life.saw(effects)
            if watch is not None:
                watch(command, now, effects)
        given += len(batch)
        measured.batches += 1
    measured.virtual_ms = life.agenda.now - began
    return measured
