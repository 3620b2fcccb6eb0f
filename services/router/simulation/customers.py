"""Draw the customers: when they come, for how long, and how patient they are. They are drawn before the run, so that the policy cannot change them.

Every purpose (arrivals, handling, patience, busyness) of every type has its own stream of random numbers, named after it. So under two
policies, or two staffings, the k-th customer is the same. These *common random numbers* are why few replications show small differences.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from services.router.simulation import scenario as sc
from services.router.simulation.distributions import Mixture, Never, Patience, Simple, Vector
from services.router.simulation.plan import Plan
from services.router.simulation.recorded import Recording, Survival

_DAY_MS: Final = 86_400_000.0
_NAN: Final = float("nan")
Drawn = Simple | Mixture | Never
Repeats = TypeVar("Repeats", sc.PatienceFrom, sc.HandlingFrom)


@dataclass(frozen=True, slots=True)
class Customers:
    """First attempts of one replication, in order of arrival; the lists have the same length. Times in ms."""

    arrived: list[float]
    kind: list[int]
    handling: list[list[float]]
    """By group; groups with the same handling share a list."""
    patience: list[float]


def streams(seed: int, replication: int, *purpose: str) -> np.random.Generator:
    """Return the random stream of a purpose: independent of all others, and always the same."""
    key = (replication, *(crc32(word.encode()) for word in purpose))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def lot(seed: int, replication: int, *purpose: str | int) -> random.Random:
    """Return a random stream, as `streams` does, for the few draws that depend on events: retries, answers of agents."""
    return random.Random(f"{seed}/{replication}/{'/'.join(map(str, purpose))}")  # noqa: S311  # not for secrets


def draw_one(distribution: Drawn, numbers: random.Random) -> float:
    """Draw one time, ms."""
    u, choice = numbers.random(), numbers.random()
    return float(distribution.quantile(np.array([u]), np.array([choice]))[0])


@dataclass(frozen=True, slots=True)
class _Part:
    """Customers of one type and one origin."""

    arrived: Vector
    kind: NDArray[np.int64]
    handling: list[Vector]
    patience: Vector


def draw(plan: Plan, replication: int) -> Customers:
    """Draw the customers of a replication."""
    scenario = plan.scenario
    periods = int(-(-scenario.duration // scenario.period))
    shared = _busyness(scenario, scenario.busyness, streams(scenario.seed, replication, "busyness"), periods)
    parts = []
    for number, name in enumerate(plan.types):
        kind = scenario.types.get(name)
        if kind is not None and kind.arrivals is not None:
            parts.append(_of_type(plan, replication, number, kind, shared))
        if plan.recording is not None:
            parts.append(_recorded(plan, plan.recording, replication, number, kind))
    arrived = np.concatenate([part.arrived for part in parts])
    order = np.argsort(arrived, kind="stable")
    handling: list[list[float]] = []
    known: dict[bytes, list[float]] = {}
    for group in range(len(plan.groups)):
        column = np.concatenate([part.handling[group] for part in parts])[order]
        key = column.tobytes()
        if key not in known:
            known[key] = column.tolist()
        handling.append(known[key])
    return Customers(
        arrived[order].tolist(),
        np.concatenate([part.kind for part in parts])[order].tolist(),
        handling,
        np.concatenate([part.patience for part in parts])[order].tolist(),
    )


def _busyness(scenario: sc.Scenario, busyness: sc.Busyness, numbers: np.random.Generator, periods: int) -> Vector:
    """Return a factor for each period."""
    factors = np.ones(periods)
    if busyness.day_cv:
        day = (np.arange(periods) * scenario.period // _DAY_MS).astype(np.int64)
        factors *= _gammas(numbers, busyness.day_cv, int(day[-1]) + 1)[day]
    if busyness.period_cv:
        factors *= _gammas(numbers, busyness.period_cv, periods)
    return factors


def _gammas(numbers: np.random.Generator, cv: float, count: int) -> Vector:
    """Return gamma factors with mean 1: mixed with them, Poisson numbers vary as those of contact centres do (Jongbloed, Koole 2001)."""
    return numbers.gamma(cv**-2, cv**2, count)


def _of_type(plan: Plan, replication: int, number: int, kind: sc.InteractionType, shared: Vector) -> _Part:
    scenario, name = plan.scenario, plan.types[number]
    arrived = _arrivals(scenario, name, kind, replication, shared)
    u = streams(scenario.seed, replication, "handling", name).random((2, len(arrived)))
    usual = _handling(scenario, kind, arrived, u)
    if usual is None:
        raise ValueError(f"type {name} has arrivals but no handling time")  # refused when the plan was made
    handling = _by_group(plan, kind, usual, u)
    patience = np.full(len(arrived), np.inf)
    if kind.patience is not None or kind.patience_by_period:
        v = streams(scenario.seed, replication, "patience", name).random((2, len(arrived)))
        patience = _patience(scenario, kind, arrived, v)
    return _Part(arrived, np.full(len(arrived), number), handling, patience)


def _arrivals(scenario: sc.Scenario, name: str, kind: sc.InteractionType, replication: int, shared: Vector) -> Vector:
    """Return times of arrival, sorted: a Poisson number in each period, uniformly distributed in it."""
    assert kind.arrivals is not None
    periods = len(shared)
    starts = np.arange(periods) * scenario.period
    lengths = np.minimum(scenario.period, scenario.duration - starts)
    if kind.arrivals.every is not None:
        expected = lengths / kind.arrivals.every
    else:
        rates = np.array(kind.arrivals.rates)
        expected = rates[np.arange(periods) % len(rates)] * lengths / scenario.period
    own = _busyness(scenario, kind.arrivals.busyness, streams(scenario.seed, replication, "busyness", name), periods)
    numbers = streams(scenario.seed, replication, "arrivals", name)
    expected = expected * shared * own
    if expected.sum() > 2 * sc.MOST_CUSTOMERS:
        raise ValueError(
            f"so busy a day would bring {expected.sum():,.0f} customers; at most {2 * sc.MOST_CUSTOMERS:,}"
        )
    counts = numbers.poisson(expected)
    where = np.repeat(np.arange(periods), counts)
    times: Vector = starts[where] + numbers.random(int(counts.sum())) * lengths[where]
    times.sort()
    return times


def _handling(scenario: sc.Scenario, kind: sc.InteractionType, arrived: Vector, u: Vector) -> Vector | None:
    """Return the handling times of a type where a group has none of its own; None where the scenario gives none."""
    if kind.handling_by_period:
        return _drawn_by_period(scenario, [one.handling for one in _repeated(kind.handling_by_period)], arrived, u)
    return kind.handling.quantile(u[0], u[1]) if kind.handling is not None else None


def _by_group(plan: Plan, kind: sc.InteractionType, usual: Vector, u: Vector) -> list[Vector]:
    own = kind.handling_by_group
    return [own[group].quantile(u[0], u[1]) if group in own else usual for group in plan.groups]


def _patience(scenario: sc.Scenario, kind: sc.InteractionType, arrived: Vector, u: Vector) -> Vector:
    if not kind.patience_by_period:
        assert kind.patience is not None
        return kind.patience.quantile(u[0], u[1])
    return _drawn_by_period(scenario, _by_period(kind), arrived, u)


def _drawn_by_period(scenario: sc.Scenario, by_period: Sequence[Drawn], arrived: Vector, u: Vector) -> Vector:
    """Draw times by the period of arrival; the periods repeat."""
    drawn = np.empty(len(arrived))
    period = (arrived // scenario.period).astype(np.int64) % len(by_period)
    for number, distribution in enumerate(by_period):
        mine = period == number
        drawn[mine] = distribution.quantile(u[0][mine], u[1][mine])
    return drawn


def _repeated(parts: Sequence[Repeats]) -> list[Repeats]:
    """Return a part for each of its periods."""
    return [one for one in parts for _ in range(one.periods)]


def _by_period(kind: sc.InteractionType) -> list[Patience]:
    return [one.patience for one in _repeated(kind.patience_by_period)]


def patience_of(scenario: sc.Scenario, kind: sc.InteractionType | None, arrived: float) -> Drawn:
    """Return the distribution of patience for a customer who arrives (again) at a time."""
    if kind is None or (kind.patience is None and not kind.patience_by_period):
        return Never(distribution="never")
    if kind.patience_by_period:
        by_period = _by_period(kind)
        return by_period[int(arrived // scenario.period) % len(by_period)]
    assert kind.patience is not None
    return kind.patience


def _recorded(
    plan: Plan, recording: Recording, replication: int, number: int, kind: sc.InteractionType | None
) -> _Part:
    """Return the customers of the file.

    Handling and patience that the scenario gives take precedence. Otherwise they are as recorded in a single replication; with several
    replications, each draws them again from the records of the type.
    """
    scenario, name = plan.scenario, plan.types[number]
    ours = np.array([plan.kinds[len(plan.types) + look].type_index == number for look in range(len(recording.looks))])
    mine = np.flatnonzero(ours[recording.look])
    arrived = recording.times[mine]
    anew = scenario.replications > 1
    u = streams(scenario.seed, replication, "recorded handling", name).random((2, len(mine)))
    usual = _handling(scenario, kind, arrived, u) if kind is not None else None
    if kind is not None and usual is not None:
        handling = _by_group(plan, kind, usual, u)
    else:
        handling = [_as_recorded(recording, mine, u[0], anew=anew)] * len(plan.groups)
    v = streams(scenario.seed, replication, "recorded patience", name).random((2, len(mine)))
    if kind is not None and (kind.patience is not None or kind.patience_by_period):
        patience = _patience(scenario, kind, arrived, v)
    else:
        patience = _patience_as_recorded(recording.patience[mine], recording.censored[mine], v[0], anew=anew)
    return _Part(arrived, len(plan.types) + recording.look[mine], handling, patience)


def _as_recorded(recording: Recording, mine: NDArray[np.int64], u: Vector, *, anew: bool) -> Vector:
    handling = recording.handling[mine]
    known = handling[~np.isnan(handling)]
    if not len(known):  # no customer of the type was handled: use all the others
        known = recording.handling[~np.isnan(recording.handling)]
    if not len(known):
        raise ValueError("the recording has no handling times, and the scenario gives none")  # refused before
    drawn = np.sort(known)[np.minimum((u * len(known)).astype(np.int64), len(known) - 1)]
    return drawn if anew else np.where(np.isnan(handling), drawn, handling)


def _patience_as_recorded(waits: Vector, censored: NDArray[np.bool_], u: Vector, *, anew: bool) -> Vector:
    seen = ~np.isnan(waits)
    survival = Survival.of(waits[seen], censored[seen])
    if anew:
        return survival.quantile(u, np.full(len(waits), -1.0))
    least = np.where(seen & censored, waits, -1.0)
    return np.where(seen & ~censored, waits, survival.quantile(u, least))
