"""Scenarios for tests, with plain defaults, and functions that run them in this process."""

from __future__ import annotations

from typing import Any

from services.policy.model.routing import PoolConfig
from services.router.simulation.customers import Customers
from services.router.simulation.floor import Floor
from services.router.simulation.log import Log
from services.router.simulation.plan import Plan, make
from services.router.simulation.scenario import Scenario


def exponential(mean: str) -> dict[str, Any]:
    """Return an exponential distribution."""
    return {"distribution": "exponential", "mean": mean}


def always(value: str) -> dict[str, Any]:
    """Return a deterministic distribution."""
    return {"distribution": "deterministic", "value": value}


def calls(**more: Any) -> dict[str, Any]:
    """Return a type: a call every 18 s that takes 3 min, in the queue `q`."""
    return {"queue": "q", "arrivals": {"every": "18s"}, "handling": exponential("3m"), **more}


def a_scenario(**more: Any) -> Scenario:
    """Return an hour of calls with 14 agents, in two replications."""
    given = {
        "duration": "1h",
        "replications": 2,
        "types": {"calls": calls()},
        "groups": {"agents": {"agents": 14}},
        **more,
    }
    return Scenario.model_validate(given)


def a_floor(plan: Plan, *customers: tuple[float, float], patience: float = float("inf"), kind: int = 0) -> Floor:
    """Return a floor with these customers: (arrival, handling), in seconds."""
    count = len(customers)
    handling = [seconds * 1_000 for _, seconds in customers]
    drawn = Customers(
        [at * 1_000 for at, _ in customers],
        [kind] * count,
        [handling] * len(plan.groups),
        [patience * 1_000] * count,
    )
    return Floor(plan, drawn, 0)


def a_run(
    *customers: tuple[float, float], policy: PoolConfig | None = None, patience: float = float("inf"), **more: Any
) -> Log:
    """Return the log of these customers in a scenario."""
    return a_floor(make(a_scenario(**more), policy), *customers, patience=patience).run()
