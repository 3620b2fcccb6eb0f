"""Several goals at once: the order `adaptive` against orders by arrival, by deadline, and by strict priority.

    python -m tests.bench.goals

Each model of a generated family has two to four types of interactions with rates, handling times, patience, thresholds
and goals of their own, and agents who take all of them. For each order the bench looks for the least staffing that
meets all goals, in the simulator. Printed are how many more agents `adaptive` needs than the best of the other orders,
and how far its types are apart there: the largest minus the smallest distance of a level from its goal, in points. No
order that keeps agents busy can lower the level of a type that is above the others although it always goes last: such
types are left out of the spread, and counted.
"""

from __future__ import annotations

import math
import os
import random
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from services.policy.model.routing import Order, PickUpTarget, PoolConfig, QueueConfig
from services.router.simulation.measures import Observed
from services.router.simulation.plan import make
from services.router.simulation.replications import replicate
from services.router.simulation.scenario import Scenario
from tests.bench.figures import tell

MODELS: Final = 32
_SEED: Final = 17
_CUSTOMERS: Final = 24_000
_REPLICATIONS: Final = 2
_PERIOD_S: Final = 3_600.0
_APART: Final = 0.01
"""Levels that differ by less count as equal: the runs are that exact."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of interactions. Times in seconds; patience 0: they wait for ever."""

    an_hour: float
    handling_s: float
    patience_s: float
    within_s: float
    goal: float


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the family."""

    kinds: tuple[Kind, ...]

    @property
    def load(self) -> float:
        """Agents who would be busy all the time."""
        return sum(kind.an_hour * kind.handling_s for kind in self.kinds) / 3_600


@dataclass(frozen=True, slots=True)
class Staffed:
    """What an order reaches with a number of agents: for each type, level - goal."""

    agents: int
    above: tuple[float, ...]

    @property
    def meets_all(self) -> bool:
        """Whether all goals are met."""
        return min(self.above) >= 0


def family(models: int = MODELS, seed: int = _SEED) -> list[Model]:
    """Return the generated models."""
    drawn = random.Random(seed)
    return [_draw(drawn) for _ in range(models)]


def _draw(drawn: random.Random) -> Model:
    shares = [drawn.uniform(0.2, 1) for _ in range(drawn.choice((2, 3, 3, 4)))]
    size = math.exp(drawn.uniform(math.log(6), math.log(50)))
    kinds = []
    for share in shares:
        handling_s = math.exp(drawn.uniform(math.log(90), math.log(900)))
        patient = drawn.random() < 0.3
        patience_s = 0.0 if patient else math.exp(drawn.uniform(math.log(120), math.log(1_800)))
        an_hour = size * share / sum(shares) * 3_600 / handling_s
        within_s = drawn.choice((10.0, 20.0, 30.0, 60.0, 120.0, 300.0))
        kinds.append(Kind(an_hour, handling_s, patience_s, within_s, drawn.choice((0.7, 0.75, 0.8, 0.85, 0.9))))
    return Model(tuple(kinds))


def reached(model: Model, agents: int, order: Order, priorities: Sequence[int] = ()) -> Staffed:
    """Return what an order reaches. `priorities`: of the types, the highest first in line."""
    seen = [_replicated(model, agents, order, priorities, replication) for replication in range(1, _REPLICATIONS + 1)]
    above = []
    for at, kind in enumerate(model.kinds):
        pairs = [one.whole[f"k{at}/service_level_offered"] for one in seen]
        above.append(sum(in_time for in_time, _ in pairs) / max(1.0, sum(all_of for _, all_of in pairs)) - kind.goal)
    return Staffed(agents, tuple(above))


def _replicated(model: Model, agents: int, order: Order, priorities: Sequence[int], replication: int) -> Observed:
    rate = sum(kind.an_hour for kind in model.kinds)
    hours = math.ceil(_CUSTOMERS / rate)
    types = {f"k{at}": _type(kind) for at, kind in enumerate(model.kinds)}
    scenario = Scenario.model_validate(
        {
            "duration": f"{hours}h", "warm_up": f"{hours / 10:g}h", "period": f"{_PERIOD_S:g}s", "seed": 5,
            "types": types, "groups": {"all": {"agents": agents}},
        }
    )  # fmt: skip
    queues = tuple(
        QueueConfig(
            f"k{at}", priorities[at] if priorities else 0, order=order, service_level_ms=int(1_000 * kind.within_s),
            service_level_goal=kind.goal, pick_up_targets=(PickUpTarget(int(1_000 * kind.within_s)),),
        )
        for at, kind in enumerate(model.kinds)
    )  # fmt: skip
    plan = make(scenario, PoolConfig(queues=queues))
    return replicate(plan, replication, shortcut=True)


def _type(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = {
        "arrivals": {"rates": [kind.an_hour]},
        "handling": {"distribution": "exponential", "mean": f"{kind.handling_s:g}s"},
        "service_level": f"{kind.within_s:g}s",
    }
    if kind.patience_s:
        found["patience"] = {"distribution": "exponential", "mean": f"{kind.patience_s:g}s"}
    return found


def least(model: Model, order: Order, priorities: Sequence[int], start: int) -> Staffed:
    """Return the least staffing that meets all goals, near a number of agents to start from."""
    found = reached(model, start, order, priorities)
    while not found.meets_all:
        found = reached(model, found.agents + 1, order, priorities)
    while found.agents > 1 and (fewer := reached(model, found.agents - 1, order, priorities)).meets_all:
        found = fewer
    return found


def ranks(model: Model, *last: int) -> tuple[int, ...]:
    """Return strict priorities: shorter thresholds first, and `last` behind all others."""
    order = sorted(
        range(len(model.kinds)), key=lambda at: (at in last, model.kinds[at].within_s, -model.kinds[at].goal)
    )
    return tuple(-order.index(at) for at in range(len(order)))


def stuck(model: Model, found: Staffed) -> frozenset[int]:
    """Return the types whose level no order can lower: they are as far above their goals when they always go last."""
    lowest = min(found.above)
    above = [at for at, distance in enumerate(found.above) if distance > lowest + _APART]
    return frozenset(
        at
        for at in above
        if reached(model, found.agents, Order.ARRIVAL, ranks(model, at)).above[at] > found.above[at] - _APART
    )


def judge(model: Model) -> tuple[int, float, int]:
    """Return how many more agents `adaptive` needs than the best other order, the spread in points, and the number of stuck types."""
    start = math.ceil(model.load)
    rivals = [least(model, Order.ARRIVAL, (), start), least(model, Order.ARRIVAL, ranks(model), start)]
    best = min(one.agents for one in rivals)
    rivals.append(least(model, Order.DEADLINE, (), best))
    best = min(one.agents for one in rivals)
    ours = least(model, Order.ADAPTIVE, (), best)
    fixed = stuck(model, ours)
    free = [100 * distance for at, distance in enumerate(ours.above) if at not in fixed]
    above = ", ".join(f"{100 * distance:.1f}{'*' * (at in fixed)}" for at, distance in enumerate(ours.above))
    print(
        f"{len(model.kinds)} types, load {model.load:5.1f}: {best} agents, adaptive {ours.agents}; above the goals: {above}",
        flush=True,
    )
    return ours.agents - best, max(free) - min(free), len(fixed)


def main() -> None:
    """Print each model, and the figures."""
    models = family()
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as workers:
        judged = list(workers.map(judge, models))
    spreads = [spread for _, spread, _ in judged]
    print("*: no order can lower this level; left out of the spread", flush=True)
    tell("adaptive_spread_points", statistics.median(spreads), "points", "<=2", models=len(models))
    tell("adaptive_worst_spread_points", max(spreads), "points", "<=4", stuck=sum(n for _, _, n in judged))
    tell("adaptive_extra_agents", statistics.fmean(extra for extra, _, _ in judged), "agents", "<=0")


if __name__ == "__main__":
    main()
