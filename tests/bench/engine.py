"""The routing engine alone, without Kafka, in a pool of 15,000 agents: `make bench-engine`, or

    python -m tests.bench.engine [parts…] [--agents N] [--waiting N] [--commands N] [--profile]

The workload is described in `engine_pool` and `engine_life`, the method in docs/performance.md.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from services.router.domain.engine import Engine
from tests.bench.engine_burst import AT_ONCE, WITH_WINDOW, qualities
from tests.bench.engine_life import Life
from tests.bench.engine_memory import AGENTS, WAITING, apart
from tests.bench.engine_pool import Plan, Size
from tests.bench.engine_run import Measured, run
from tests.bench.engine_scan import Scan
from tests.bench.engine_snapshot import round_trip
from tests.bench.engine_speed import IDLE_SHARE, Effort, busy_pool, fill_queues, idle_pool, kinds_table, warmed
from tests.bench.engine_versus import Replay, Stretch, replay
from tests.bench.figures import tell

_SMALL_AGENTS: Final = 1_000
_STRETCH: Final = 1_500
_SCAN_S: Final = 10.0
_BURSTS: Final = 200


@dataclass
class Bench:
    """The parts of the bench. A measurement that several parts need is made once."""

    size: Size
    effort: Effort
    profile: bool = False
    versus: bool = True
    """Whether the naive router follows the large pool while it is filled, for the comparison."""
    _busy: dict[Size, Measured] = field(default_factory=dict)
    _replayed: tuple[Measured, Replay] | None = None

    @cached_property
    def plan(self) -> Plan:
        """Plan of the large pool."""
        return Plan(self.size)

    @cached_property
    def pool(self) -> tuple[Engine, Life]:
        """Return the large pool, with full queues."""
        if not self.versus:
            engine, life = busy_pool(self.plan)
            fill_queues(engine, life)
            return engine, life
        scan, stretch = Scan(), Stretch()
        engine, life = busy_pool(self.plan, scan.follow)
        fill_queues(engine, life, scan.follow)
        measured = run(engine, life, _STRETCH, self.effort.limit_s, stretch)
        self._replayed = measured, replay(scan, stretch, _SCAN_S)
        return engine, life

    def busy(self, size: Size) -> Measured:
        """Measure a pool in which all agents are busy."""
        if size not in self._busy:
            engine, life = self.pool if size == self.size else busy_pool(Plan(size))
            effort = self.effort if size == self.size else self.effort.half()
            self._busy[size] = measured = warmed(engine, life, effort, profile=self.profile)
            print(
                f"{measured.commands} commands in {measured.virtual_ms / 1000:g} s of virtual time; "
                f"refused: {dict(life.refused) or 'none'}; idle: {life.idle_share():.1%}",
                flush=True,
            )
        return self._busy[size]

    # Parts

    def scan(self) -> None:
        """Measure the naive router's cost of a command over the engine's, on the same commands."""
        assert self.pool
        assert self._replayed is not None
        measured, replayed = self._replayed
        if replayed.different:
            print(
                f"the naive router decided differently {len(replayed.different)} times; first: {replayed.different[0]}"
            )
        tell(
            "engine_vs_scan",
            round(replayed.us_a_command / measured.us_a_command, 1),
            "ratio",
            commands=replayed.commands,
            offers=replayed.offers,
            decided_otherwise=len(replayed.different),
            us_scan=round(replayed.us_a_command, 1),
            us_engine=round(measured.us_a_command, 1),
        )

    def speed(self) -> None:
        """Measure commands a second, and latency."""
        measured = self.busy(self.size)
        print(kinds_table(measured))
        tell("engine_commands_per_s", measured.rate, "1/s", ">=20000", **_details(measured))
        tell("engine_p99_ms", round(measured.p99_ms(), 3), "ms", "<=1", max_ms=measured.sorted_ns()[-1] / 1e6)

    def snapshot(self) -> None:
        """Measure writing the pool into the changelog and restoring it."""
        measured = self.busy(self.size)
        engine, life = self.pool
        trip = round_trip(engine, measured.remembered, life.agenda.now)
        tell(
            "engine_snapshot_restore_s",
            round(trip.dump_s + trip.restore_s, 2),
            "s",
            "<=5",
            snapshot_s=round(trip.dump_s, 2),
            restore_s=round(trip.restore_s, 2),
            entries=trip.entries,
            megabytes=round(trip.size / 1e6, 1),
        )

    def growth(self) -> None:
        """Measure the cost of a command here over that in a pool of 1,000 agents with the same number of waiting
        interactions per agent."""
        waiting = self.size.waiting * _SMALL_AGENTS // self.size.agents
        small = self.busy(replace(self.size, agents=_SMALL_AGENTS, waiting=waiting))
        large = self.busy(self.size)
        ratio = round(large.us_a_command / small.us_a_command, 2)
        us_small, us_large = round(small.us_a_command, 1), round(large.us_a_command, 1)
        tell("engine_growth", ratio, "ratio", "<=2", us_small=us_small, us_large=us_large)

    def distinct(self) -> None:
        """Measure a pool in which no two agents are alike."""
        measured = self.busy(replace(self.size, distinct=True))
        tell("engine_commands_per_s_distinct", measured.rate, "1/s", **_details(measured))

    def idle(self) -> None:
        """Measure a pool in which most agents are idle."""
        engine, life = idle_pool(self.plan)
        measured = warmed(engine, life, self.effort.half(), profile=self.profile)
        print(kinds_table(measured))
        shares = {"idle_share_wanted": IDLE_SHARE, "idle_share": round(life.idle_share(), 3)}
        tell("engine_commands_per_s_idle", measured.rate, "1/s", **(_details(measured) | shares))

    def memory(self) -> None:
        """Measure the bytes of one waiting interaction, and of one agent."""
        for what, goal in ((WAITING, "<=2048"), (AGENTS, "<=4096")):
            objects, resident = apart(what, self.size)
            tell(f"engine_bytes{{{what}}}", round(objects), "B", goal, resident=round(resident))

    def burst(self) -> None:
        """Measure the skill score of bursts."""
        found = qualities(_BURSTS, {})
        quality, at_once = found[WITH_WINDOW], found[AT_ONCE]
        tell(
            "burst_match_quality",
            round(quality.share, 4),
            "ratio",
            ">=0.98",
            worst=round(quality.worst, 4),
            without_window=round(at_once.share, 4),
            ms_a_burst=round(sum(quality.ms) / len(quality.ms), 2),
            ms_a_burst_without_window=round(sum(at_once.ms) / len(at_once.ms), 2),
        )


def _details(measured: Measured) -> dict[str, Any]:
    """Return the details kept beside a rate."""
    return {
        "commands": measured.commands,
        "timers_us_a_command": round(measured.advance_s / measured.commands * 1e6, 1),
        "changelog_us_a_command": round(measured.collect_s / measured.commands * 1e6, 1),
    }


PARTS: Final[dict[str, Callable[[Bench], None]]] = {
    "scan": Bench.scan,
    "speed": Bench.speed,
    "snapshot": Bench.snapshot,
    "growth": Bench.growth,
    "distinct": Bench.distinct,
    "idle": Bench.idle,
    "memory": Bench.memory,
    "burst": Bench.burst,
}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--agents", type=int, default=Size().agents)
    parser.add_argument("--waiting", type=int, default=Size().waiting)
    parser.add_argument("--commands", type=int, default=Effort().commands)
    parser.add_argument(
        "--profile", action="store_true", help="show where the time goes, function by function (slower)"
    )
    given = parser.parse_args()
    if unknown := [part for part in given.parts if part not in PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}")
    parts = given.parts or list(PARTS)
    bench = Bench(
        Size(agents=given.agents, waiting=given.waiting),
        Effort(commands=given.commands),
        given.profile,
        versus="scan" in parts,
    )
    for part in parts:
        began = time.monotonic()
        PARTS[part](bench)
        print(f"-- {part}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
