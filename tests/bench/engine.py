"""The routing engine alone, without Kafka and protobuf, in a pool of 15,000 agents: `make bench-engine`, or

    python -m tests.bench.engine [parts…] [--agents N] [--waiting N] [--commands N] [--profile]

Parts: speed (all busy, 10,000 waiting), distinct (no two agents alike), idle (most agents idle), growth (against 1,000 agents). The workload is
described in `engine_pool` and `engine_life`, the method in docs/performance.md.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from tests.bench.engine_pool import Plan, Size
from tests.bench.engine_run import Measured
from tests.bench.engine_speed import IDLE_SHARE, Effort, busy_pool, idle_pool, kinds_table, warmed
from tests.bench.figures import tell

_SMALL_AGENTS: Final = 1_000


@dataclass
class Bench:
    """The parts; what one measures and another needs is measured once."""

    size: Size
    effort: Effort
    profile: bool = False
    _busy: dict[Size, Measured] = field(default_factory=dict)

    @cached_property
    def plan(self) -> Plan:
        """Of the large pool."""
        return Plan(self.size)

    def busy(self, size: Size) -> Measured:
        """A pool with everybody busy."""
        if size not in self._busy:
            plan = self.plan if size == self.size else Plan(size)
            engine, life = busy_pool(plan)
            self._busy[size] = warmed(engine, life, self.effort, profile=self.profile)
            print(
                f"refused: {dict(life.refused)}; in {self._busy[size].virtual_ms / 1000:g} s of virtual time",
                flush=True,
            )
        return self._busy[size]

    def details(self, measured: Measured) -> dict[str, Any]:
        """What is kept beside a rate."""
        return {
            "agents": self.size.agents,
            "waiting": self.size.waiting,
            "commands": measured.commands,
            "timers_us_a_command": round(measured.advance_s / measured.commands * 1e6, 1),
            "changelog_us_a_command": round(measured.collect_s / measured.commands * 1e6, 1),
        }

    def speed(self) -> None:
        """Commands a second, and latency."""
        measured = self.busy(self.size)
        spent = measured.sorted_ns()
        print(kinds_table(measured))
        tell("engine_commands_per_s", rate(measured), "1/s", ">=20000", **self.details(measured))
        tell("engine_p99_ms", round(measured.p99_ms(), 3), "ms", "<=1", max_ms=spent[-1] / 1e6)

    def distinct(self) -> None:
        """No two agents alike."""
        measured = self.busy(replace(self.size, distinct=True))
        tell("engine_commands_per_s_distinct", rate(measured), "1/s", **self.details(measured))

    def idle(self) -> None:
        """Most agents idle."""
        engine, life = idle_pool(self.plan)
        measured = warmed(engine, life, self.effort, profile=self.profile)
        print(kinds_table(measured))
        shares = {"idle_share_wanted": IDLE_SHARE, "idle_share": round(life.idle_share(), 3)}
        tell("engine_commands_per_s_idle", rate(measured), "1/s", **(self.details(measured) | shares))

    def growth(self) -> None:
        """Cost of a command here over that in a pool of a fifteenth: agents and waiting work alike."""
        waiting = self.size.waiting * _SMALL_AGENTS // self.size.agents
        small = self.busy(replace(self.size, agents=_SMALL_AGENTS, waiting=waiting))
        large = self.busy(self.size)
        tell(
            "engine_growth",
            round(large.us_a_command / small.us_a_command, 2),
            "ratio",
            "<=2",
            us_small=round(small.us_a_command, 1),
            us_large=round(large.us_a_command, 1),
        )


def rate(measured: Measured) -> int:
    """Commands a second of CPU time."""
    return round(measured.commands / measured.seconds)


PARTS: Final[dict[str, Callable[[Bench], None]]] = {
    "speed": Bench.speed,
    "distinct": Bench.distinct,
    "idle": Bench.idle,
    "growth": Bench.growth,
}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--agents", type=int, default=Size().agents)
    parser.add_argument("--waiting", type=int, default=Size().waiting)
    parser.add_argument("--commands", type=int, default=Effort().commands)
    parser.add_argument("--profile", action="store_true", help="where the time goes, function by function (slower)")
    given = parser.parse_args()
    if unknown := [part for part in given.parts if part not in PARTS]:
        parser.error(f"no part is called {', '.join(unknown)}")
    bench = Bench(
        Size(agents=given.agents, waiting=given.waiting),
        Effort(commands=given.commands),
        given.profile,
    )
    for part in given.parts or PARTS:
        print(f"-- {part}", flush=True)
        PARTS[part](bench)


if __name__ == "__main__":
    main()
