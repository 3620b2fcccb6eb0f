"""Search the least staffing that reaches a service level, by bisection under common random numbers.

More agents do not serve fewer in time (except for noise, which common random numbers keep small), so bisection works: on the number of agents of one
group; or, for several groups, on their total number, spread in the scenario's proportions. Then single agents are taken away, from the most expensive
group first, as long as the target holds. A group whose number varies over the day keeps its shape: the number is its peak.

The answer is the least staffing whose *estimate* reaches the target. Because of noise the true value may differ, so the answer has its interval, and
the least staffing whose whole interval is above the target is searched for as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.router.simulation import scenario as sc
from services.router.simulation.erlang import erlang_c
from services.router.simulation.measures import ALL, Observed
from services.router.simulation.replications import Case, Laboratory, Progress, Question
from services.router.simulation.results import Case as Observations
from services.router.simulation.statistics import Estimate, estimate

_TARGET = re.compile(r"(\d{1,3}(?:\.\d+)?)/(\d+(?:\.\d+)?)")
_IDLE: Final = 0.5
_MOST_STEPS_UP: Final = 12
"""Agents from the answer by estimate to the answer beyond doubt, at most."""


@dataclass(frozen=True, slots=True)
class Target:
    """`share` of the offered is answered within `within_s` seconds, over all types together or for each."""

    share: float
    within_s: float
    each: bool = False

    def __str__(self) -> str:
        return f"{self.share:.1%} within {self.within_s:g} s{' for each type' if self.each else ''}"


def target(text: str, *, each: bool = False) -> Target:
    """Parse a target such as "80/20". Raises ValueError."""
    found = _TARGET.fullmatch(text.strip())
    if found is None or not 0 < float(found[1]) < 100 or float(found[2]) <= 0:
        raise ValueError(f"must be like 80/20 (80 % within 20 s), not {text!r}")
    return Target(float(found[1]) / 100, float(found[2]), each)


def asked_of(question: Question, wanted: Target) -> Question:
    """Return the same question, with the target's time as the threshold of every type, including recorded ones."""
    types = dict(question.scenario.types)
    for looks in question.recording.looks if question.recording is not None else ():
        types.setdefault(looks.type, sc.InteractionType(queue=looks.queue))
    types = {
        name: kind.model_copy(update={"service_level": wanted.within_s * 1_000, "short_abandon": None})
        for name, kind in types.items()
    }
    return replace(question, scenario=question.scenario.model_copy(update={"types": types}))


@dataclass(frozen=True, slots=True)
class Trial:
    """One staffing and its result: the service level (the lowest of the types when each counts)."""

    sizes: Mapping[str, int]
    level: Estimate
    observed: Sequence[Observed]

    @property
    def agents(self) -> int:
        """Return the number of agents in all groups."""
        return sum(self.sizes.values())

    def reaches(self, share: float) -> bool:
        """Whether its estimate reaches a share."""
        return self.level.value is not None and self.level.value >= share

    def surely_reaches(self, share: float) -> bool:
        """Whether its whole interval reaches a share."""
        return self.level.low is not None and self.level.low >= share


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search. `sure` is None when no staffing within a few more agents is beyond doubt."""

    target: Target
    least: Trial
    sure: Trial | None
    one_less: Trial | None
    tried: int


class UnreachableError(Exception):
    """No staffing within the limits reaches the target."""


class Search:
    """Searches the least staffing."""

    def __init__(self, laboratory: Laboratory, wanted: Target, confidence: float, group: str = "") -> None:
        """`group` empty: all groups. Raises ValueError for a group that the scenario does not have."""
        groups = laboratory.question.scenario.groups
        if not groups:
            raise ValueError("staffing can be searched for scenarios with `groups` only")
        if group and group not in groups:
            raise ValueError(f"`{group}` is not a group; there are {', '.join(groups)}")
        self._laboratory, self._target, self._confidence = laboratory, wanted, confidence
        self._planned = {name: sc.peak(one) for name, one in groups.items()}
        self._varied = [group] if group else list(groups)
        self._trials: dict[tuple[tuple[str, int], ...], Trial] = {}

    def run(self, done: Progress = lambda: None) -> Found:
        """Search. Raises UnreachableError."""
        share = self._target.share
        low, high = 0, max(1, self._first_guess())
        most = sc.MOST_AGENTS - sum(self._fixed().values())
        before: Trial | None = None
        while not (trial := self._try(self._spread(high), done)).reaches(share):
            if high >= most or (before is not None and self._is_of_no_use(before, trial)):
                raise UnreachableError(f"{self._target}: not with {high:,} agents, and more would not help")
            low, high, before = high, min(2 * high, most), trial
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._try(self._spread(middle), done).reaches(share) else (middle, high)
        least = self._trimmed(self._try(self._spread(high), done), done)
        return Found(self._target, least, self._sure(least, done), self._one_less(least, done), len(self._trials))

    def _is_of_no_use(self, fewer: Trial, more: Trial) -> bool:
        """Whether twice the agents, half of whom have nothing to do, gave the same result."""
        occupancy = estimate(Observations("", more.observed, {}, {}).ratios("all/occupancy"), self._confidence).value
        return fewer.level.value == more.level.value and (occupancy or 0.0) < _IDLE

    def _fixed(self) -> dict[str, int]:
        return {name: size for name, size in self._planned.items() if name not in self._varied}

    def _spread(self, agents: int) -> dict[str, int]:
        """Spread a number of agents over the varied groups, in the scenario's proportions (largest remainders)."""
        planned = {name: max(1, self._planned[name]) for name in self._varied}
        total = sum(planned.values())
        sizes = {name: agents * size // total for name, size in planned.items()}
        for name in sorted(planned, key=lambda n: (-(agents * planned[n] % total), n))[: agents - sum(sizes.values())]:
            sizes[name] += 1
        return {**self._planned, **sizes}

    def _first_guess(self) -> int:
        """Return theory's answer for one queue without patience, at the busiest time: close enough to begin with."""
        scenario = self._laboratory.question.scenario
        load = 0.0
        for kind in scenario.types.values():
            if kind.arrivals is None or kind.handling is None:
                continue
            gap, rates = kind.arrivals.every, kind.arrivals.rates or [0.0]
            load += (1 / gap if gap is not None else max(rates) / scenario.period) * kind.handling.average()
        agents = max(1, int(load))
        while erlang_c(agents, load) > 1 - self._target.share and agents < sc.MOST_AGENTS:
            agents += 1
        return max(1, min(agents, sc.MOST_AGENTS) - sum(self._fixed().values()))

    def _try(self, sizes: Mapping[str, int], done: Progress) -> Trial:
        key = tuple(sorted(sizes.items()))
        if key not in self._trials:
            [observed] = self._laboratory.run([Case(sizes=key)], done=done)
            self._trials[key] = Trial(dict(sizes), self._level(observed), observed)
        return self._trials[key]

    def _level(self, observed: Sequence[Observed]) -> Estimate:
        case = Observations("", observed, {}, {})
        types = [ALL]
        if self._target.each:
            types = [name.partition("/")[0] for name in case.names() if name.endswith("/offered")]
            types = [name for name in types if name != ALL]
        levels = [estimate(case.ratios(f"{name}/service_level_offered"), self._confidence) for name in types]
        known = [level for level in levels if level.value is not None]
        return min(known, key=lambda level: level.value or 0.0) if known else Estimate(None, None, 0)

    def _trimmed(self, trial: Trial, done: Progress) -> Trial:
        """Remove the agents who are not needed."""
        groups = self._laboratory.question.scenario.groups
        if len(self._varied) == 1:
            return trial
        for name in sorted(self._varied, key=lambda n: (-groups[n].cost_per_hour, n)):
            while trial.sizes[name] > 0:
                fewer = self._try({**trial.sizes, name: trial.sizes[name] - 1}, done)
                if not fewer.reaches(self._target.share):
                    break
                trial = fewer
        return trial

    def _sure(self, least: Trial, done: Progress) -> Trial | None:
        trial = least
        for _ in range(_MOST_STEPS_UP):
            if trial.surely_reaches(self._target.share):
                return trial
            if trial.level.low is None:
                return None
            # The agent who helps is one of the largest group: agents of other groups may not be able to take the late interactions.
            name = max(self._varied, key=lambda n: (trial.sizes[n], n))
            trial = self._try({**trial.sizes, name: trial.sizes[name] + 1}, done)
        return None

    def _one_less(self, least: Trial, done: Progress) -> Trial | None:
        name = max(self._varied, key=lambda n: (least.sizes[n], n))
        if not least.sizes[name]:
            return None
        return self._try({**least.sizes, name: least.sizes[name] - 1}, done)
