"""The cost of a command in the engine: with all agents busy, with most idle, with no two agents alike, and in a
small pool."""

import cProfile
import gc
import pstats
from dataclasses import dataclass
from typing import Final

from services.router.domain.engine import Engine
from tests.bench.engine_agenda import Habits
from tests.bench.engine_fill import Watch, filled
from tests.bench.engine_life import Life
from tests.bench.engine_pool import Plan
from tests.bench.engine_run import Measured, quantile, run

IDLE_SHARE: Final = 0.7
_SHORT_MS: Final = 60_000
"""Handling time at light load: as many arrivals a second as at full load, so the mix of commands is the same."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Commands to warm up (beyond the first that fill the queues) and to measure, and CPU seconds after which each
    of the two stops."""

    warm_up: int = 10_000
    commands: int = 100_000
    limit_s: float = 12.0

    def half(self) -> "Effort":
        """Return half of the effort, for the variants."""
        return Effort(self.warm_up // 2, self.commands // 2, self.limit_s / 2)


def busy_pool(plan: Plan, watch: Watch | None = None) -> tuple[Engine, Life]:
    """Return a pool with all agents busy, and (after the warm-up) the size's number waiting."""
    freeze()
    start = filled(plan, watch=watch)
    return start.engine, Life(plan, start, Habits())


def idle_pool(plan: Plan, watch: Watch | None = None) -> tuple[Engine, Life]:
    """Return a pool with seven of ten agents idle; only interactions wait that no present agent can take."""
    freeze()
    many = round((1 - IDLE_SHARE) * plan.size.agents)
    start = filled(plan, held=many, watch=watch)
    return start.engine, Life(plan, start, Habits(handle_ms=_SHORT_MS, open=many))


def freeze() -> None:
    """Hide the bench's own objects from the collector: a router does not have them."""
    gc.collect()
    gc.freeze()


def fill_queues(engine: Engine, life: Life, watch: Watch | None = None) -> None:
    """Run until the intended number of interactions wait, or are open."""
    while life.lacking() > (life.habits.open or life.plan.size.waiting) // 100:
        run(engine, life, 1, float("inf"), watch)


def warmed(engine: Engine, life: Life, effort: Effort, *, profile: bool = False) -> Measured:
    """Measure when the queues are full and the load is steady."""
    fill_queues(engine, life)
    run(engine, life, effort.warm_up, effort.limit_s / 4)
    if not profile:
        return run(engine, life, effort.commands, effort.limit_s)
    profiler = cProfile.Profile()
    measured = profiler.runcall(run, engine, life, effort.commands, effort.limit_s)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    return measured


def kinds_table(measured: Measured) -> str:
    """Return a table of the time of each kind of command, the largest sum first."""
    rows = [f"{'command':22}{'count':>8}{'share of time':>15}{'mean us':>10}{'p50 us':>10}{'p99 us':>10}{'max ms':>9}"]
    timed = {**measured.kinds, "(timers of a batch)": measured.timers_ns}
    whole = sum(map(sum, timed.values()))
    for kind, spent in sorted(timed.items(), key=lambda item: -sum(item[1])):
        if spent:
            spent = sorted(spent)
            p50, p99 = (quantile(spent, share) * 1000 for share in (0.5, 0.99))
            mean, most = sum(spent) / len(spent) / 1e3, spent[-1] / 1e6
            rows.append(
                f"{kind:22}{len(spent):8}{sum(spent) / whole:15.1%}{mean:10.1f}{p50:10.1f}{p99:10.1f}{most:9.2f}"
            )
    return "\n".join(rows)
