"""Search the cheapest staffing that reaches a target, over one group or several.

1. Bisection on the number of agents, spread over the groups in the scenario's proportions, finds a staffing that reaches the target. Agents who are
   not needed are removed, and agents of one group are traded for cheaper or fewer ones of others.
2. Each group has a floor: the size below which the target fails with any number of agents in the other groups.
3. All cheaper staffings above the floors are compared: only the greatest of them are simulated, since a staffing within one that fails fails too.
   Noise may break this rule by one agent where a staffing fails by little, so those below such a one are simulated as well.

All staffings meet the same customers. A staffing that clearly fails is given up after few replications. Then replications are doubled, for the answer
and for the cheaper ones that may reach the target, and the comparison is repeated, until the answer's interval is above the target and those of all
cheaper ones are below it. Staffings that the limit leaves in doubt are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from services.router.simulation import scenario as sc
from services.router.simulation.erlang import erlang_c
from services.router.simulation.measures import Observed
from services.router.simulation.replications import Case, Laboratory, Progress
from services.router.simulation.results import Case as Observations
from services.router.simulation.staffings import Sizes, Staffings, distance, is_within, moved
from services.router.simulation.statistics import Estimate
from services.router.simulation.targets import Level, Target, levels

_IDLE: Final = 0.5
_CLEAR: Final = 0.999
"""Confidence with which a staffing is given up after few replications."""
_NEAR: Final = 0.02
"""A staffing that fails by less may be beaten by one with an agent less, by noise."""
_MOST_TRIED: Final = 400
_MOST_COMPARED: Final = 5_000
_MOST_STEPS_UP: Final = 6
"""Agents from the answer by estimate to the answer beyond doubt, at most."""
_TIMES: Final = 4
_MOST_OF_FEW: Final = 20
"""A staffing gets at most 4 times the scenario's replications, or 20 if that is more."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One staffing and its result."""

    sizes: Mapping[str, int]
    levels: tuple[Level, ...]
    observed: Sequence[Observed]
    cost: float
    """Of the planned hours."""
    is_clear: bool
    """Whether it fails with a confidence that is enough after few replications."""

    @property
    def agents(self) -> int:
        """Return the number of agents in all groups."""
        return sum(self.sizes.values())

    @property
    def level(self) -> Estimate:
        """Return the level of the goal that is farthest from being reached."""
        return min(self.levels, key=lambda level: level.margin).found

    @property
    def margin(self) -> float:
        """Return by how much the worst level is above its goal."""
        return min(level.margin for level in self.levels)

    def reaches(self) -> bool:
        """Whether the estimates reach all goals. Without any customer they reach none."""
        return self.margin >= 0 and any(level.found.value is not None for level in self.levels)

    def surely_reaches(self) -> bool:
        """Whether the whole intervals do."""
        known = [level for level in self.levels if level.found.value is not None]
        return self.reaches() and all((level.found.low or 0.0) >= level.goal.share for level in known)

    def surely_fails(self) -> bool:
        """Whether the whole interval of a goal is below it."""
        return fail(self.levels)


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search. `sure` is None when no staffing within a few more agents is beyond doubt."""

    target: Target
    least: Trial
    sure: Trial | None
    one_less: Trial | None
    tried: int
    rivals: tuple[Trial, ...]
    """Cheaper staffings that fail by their estimates but not by their whole intervals; the nearest first."""
    complete: bool
    """Whether all cheaper staffings were compared."""

    @property
    def decided(self) -> bool:
        """Whether more replications would not change the answer."""
        return self.complete and self.sure is self.least and not self.rivals


class UnreachableError(Exception):
    """No staffing within the limits reaches the target."""


class Search:
    """Searches the cheapest staffing."""

    def __init__(
        self,
        laboratory: Laboratory,
        wanted: Target,
        confidence: float,
        group: str = "",
        done: Progress = lambda: None,
        *,
        each_shift: bool = False,
    ) -> None:
        """`group` empty: all groups. `each_shift`: vary each of their shifts on its own.

        Raises ValueError for a group that the scenario does not have.
        """
        scenario = laboratory.question.scenario
        if not scenario.groups:
            raise ValueError("staffing can be searched for scenarios with `groups` only")
        if group and group not in scenario.groups:
            raise ValueError(f"`{group}` is not a group; there are {', '.join(scenario.groups)}")
        self._laboratory, self._target, self._confidence, self._done = laboratory, wanted, confidence, done
        self._all = Staffings(scenario, [group] if group else list(scenario.groups), each_shift=each_shift)
        self._observed: dict[Sizes, list[Observed]] = {}
        self._trials: dict[Sizes, Trial] = {}
        self._usual = scenario.replications
        self._few = max(2, self._usual // 4) if self._usual >= 8 else self._usual
        self._limit = max(_MOST_OF_FEW, _TIMES * self._usual) if self._usual > 1 else 1
        self._needed = self._usual
        """Replications by which a staffing reaches the target or not."""
        self._many = 0
        """A number of agents in a group of which more do not help."""
        self._complete = True

    def run(self) -> Found:
        """Search. Raises UnreachableError."""
        best = self._compared(self._traded(self._trimmed(self._first())))
        best = self._decided(best)
        least = self._trial(best)
        one_less, sure = self._one_less(best), self._sure(best)
        rivals = sorted(self._rivals(best), key=lambda sizes: -self._trials[sizes].margin)
        return Found(
            self._target,
            least,
            sure,
            one_less,
            len(self._trials),
            tuple(self._trials[sizes] for sizes in rivals),
            self._complete,
        )

    # Simulating

    def _trial(self, sizes: Sizes, replications: int = 0) -> Trial:
        """Return a staffing's result with at least this number of replications; by default, with the number that is needed."""
        observed = self._observed.setdefault(sizes, [])
        wanted = replications or self._needed
        if len(observed) < wanted:
            case = Case(sizes=tuple(sorted(self._all.named(sizes).items())))
            [more] = self._laboratory.run([case], wanted, self._done, first=len(observed))
            observed.extend(more)
            named = self._all.named(sizes)
            found = levels(self._target, observed, self._confidence)
            clear = fail(levels(self._target, observed, _CLEAR))
            self._trials[sizes] = Trial(named, found, tuple(observed), self._all.cost(named), clear)
        return self._trials[sizes]

    def _reaches(self, sizes: Sizes) -> bool:
        if sizes not in self._trials:
            self._trial(sizes, self._few)
        known = self._trials[sizes]
        if len(known.observed) >= self._usual and known.surely_reaches() and known.margin >= _NEAR:
            return True
        return not self._fails(known) and self._trial(sizes).reaches()

    def _fails(self, trial: Trial) -> bool:
        """Whether a staffing fails and needs no more replications for that."""
        if len(trial.observed) >= self._needed:
            return not trial.reaches()
        enough = trial.is_clear if len(trial.observed) < self._usual else trial.surely_fails()
        return enough and trial.margin <= -_NEAR

    # A first staffing

    def _first(self) -> Sizes:
        """Return a staffing in the scenario's proportions that reaches the target, with the fewest agents."""
        low, high = 0, self._guess()
        most = sc.MOST_AGENTS - self._all.fixed
        before: Trial | None = None
        while not self._reaches(self._all.spread(high)):
            trial = self._trial(self._all.spread(high))
            if high >= most or (before is not None and _is_of_no_use(before, trial)):
                raise UnreachableError(f"{self._target}: not with {high:,} agents, and more would not help")
            low, high, before = high, min(2 * high, most), trial
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._reaches(self._all.spread(middle)) else (middle, high)
        return self._all.spread(high)

    def _guess(self) -> int:
        """Return theory's answer for one queue without patience, at the busiest time: close enough to begin with."""
        scenario = self._laboratory.question.scenario
        load = 0.0
        for kind in scenario.types.values():
            means = [one.handling.average() for one in kind.handling_by_period]
            means += [kind.handling.average()] if kind.handling is not None else []
            if kind.arrivals is None or not means:
                continue
            gap, rates = kind.arrivals.every, kind.arrivals.rates or [0.0]
            load += (1 / gap if gap is not None else max(rates) / scenario.period) * max(means)
        agents, share = max(1, int(load)), max(goal.share for goal in self._target.goals)
        while erlang_c(agents, load) > 1 - share and agents < sc.MOST_AGENTS:
            agents += 1
        return max(1, min(agents, sc.MOST_AGENTS) - self._all.fixed)

    def _trimmed(self, sizes: Sizes) -> Sizes:
        """Remove the agents who are not needed, most expensive first."""
        if len(sizes) > 1:
            for place in self._all.most_expensive_first():
                sizes = moved(sizes, place, self._least_of(sizes, place) - sizes[place])
        return sizes

    def _least_of(self, sizes: Sizes, place: int) -> int:
        """Return the least size of a group with which a staffing that reaches the target still does."""
        low, high = -1, sizes[place]
        step = 1
        while high - low > 1:
            # The answer is mostly near: try one less, then two, four, and only then bisect.
            middle = max((low + high) // 2, high - step)
            if self._reaches(moved(sizes, place, middle - sizes[place])):
                high, step = middle, 2 * step
            else:
                low = middle
        return high

    def _traded(self, sizes: Sizes) -> Sizes:
        """Trade agents of one group for cheaper or fewer ones of others, as long as the target is reached."""
        while len(sizes) > 1:
            found = next(
                (one for one in self._all.trades(sizes) if not self._is_hopeless(one) and self._reaches(one)), None
            )
            if found is None:
                break
            sizes = found
        return sizes

    # The cheapest

    def _compared(self, best: Sizes) -> Sizes:
        """Return the cheapest of all staffings that reach the target."""
        if len(best) == 1:
            return best
        floors = self._floors(best)
        while True:
            found = next((one for one in self._cheaper(best, floors) if self._reaches(one)), None)
            if found is None:
                return best
            best = self._traded(self._trimmed(found))

    def _floors(self, best: Sizes) -> Sizes:
        self._many = many = self._many or 2 * sum(best) + 1
        found = []
        for place, size in enumerate(best):
            others = tuple(size if n == place else many for n in range(len(best)))
            within = sum(others) + self._all.fixed <= sc.MOST_AGENTS
            found.append(self._least_of(others, place) if within and self._reaches(others) else 0)
        return tuple(found)

    def _cheaper(self, best: Sizes, floors: Sizes) -> Iterator[Sizes]:
        """Yield cheaper staffings that may reach the target, those near the best first. Those that fail meanwhile rule out others."""
        most = 2 * sum(best) + 1
        greatest = list(islice(self._all.greatest_below(best, floors, most), _MOST_COMPARED))
        if len(greatest) == _MOST_COMPARED:
            self._complete = False
        waiting = sorted(greatest, key=lambda sizes: (distance(sizes, best), sizes))
        seen = set(waiting)
        for sizes in waiting:  # it grows
            if self._is_hopeless(sizes):
                continue
            if len(self._trials) >= _MOST_TRIED:
                self._complete = False
                return
            yield sizes
            if self._trials[sizes].margin > -_NEAR:
                below = [moved(sizes, n, -1) for n, size in enumerate(sizes) if size > 0]
                waiting += [one for one in below if one not in seen]
                seen.update(below)

    def _is_hopeless(self, sizes: Sizes) -> bool:
        """Whether a greater staffing has failed."""
        for other, trial in self._trials.items():
            if is_within(sizes, other) and self._fails(trial):
                steps = distance(sizes, other)
                if not steps or steps > 1 or trial.margin <= -_NEAR:
                    return True
        return False

    # Certainty

    def _decided(self, best: Sizes) -> Sizes:
        """Double the replications until the answer is certain, or up to the limit; replace it as often as they show another."""
        while self._needed < self._limit:
            trial = self._trial(best)
            if trial.surely_reaches() and not self._rivals(best):
                break
            self._needed = min(self._limit, 2 * self._needed)
            known = best if self._reaches(best) else self._another(best)
            best = self._compared(self._traded(self._trimmed(known)))
        while not self._trial(best).reaches():
            best = self._compared(self._traded(self._another(best)))
        return best

    def _rivals(self, best: Sizes) -> list[Sizes]:
        """Return the cheaper staffings about which more replications might say otherwise."""
        goal = self._all.objective(best)
        return [
            sizes
            for sizes, trial in self._trials.items()
            if len(trial.observed) >= self._usual
            and self._all.objective(sizes) < goal
            and not (trial.reaches() or trial.surely_fails())
        ]

    def _another(self, failed: Sizes) -> Sizes:
        """Return the cheapest other staffing that reaches the target."""
        known = [
            sizes for sizes, trial in self._trials.items() if trial.reaches() and len(trial.observed) >= self._usual
        ]
        while not known:
            above = [moved(failed, place, 1) for place in range(len(failed))]
            known = [sizes for sizes in above if self._reaches(sizes)]
            failed = max(above, key=lambda sizes: self._trials[sizes].margin)
            if sum(failed) + self._all.fixed > sc.MOST_AGENTS:
                raise UnreachableError(f"{self._target}: not with {sum(failed):,} agents")
        return min(known, key=lambda sizes: (self._all.objective(sizes), sizes))

    def _sure(self, best: Sizes) -> Trial | None:
        """Return the first staffing beyond doubt when the agent who helps most is added, one after another."""
        trial = self._trial(best)
        for _ in range(_MOST_STEPS_UP):
            if trial.surely_reaches():
                return trial
            if trial.level.low is None or trial.agents >= sc.MOST_AGENTS:
                return None
            above = [moved(best, place, 1) for place in range(len(best))]
            best = max(above, key=lambda sizes: (self._trial(sizes).margin, sizes))
            trial = self._trial(best)
        return None

    def _one_less(self, best: Sizes) -> Trial | None:
        """Return the best staffing with one agent less."""
        below = [moved(best, place, -1) for place, size in enumerate(best) if size]
        return max((self._trial(sizes) for sizes in below), key=lambda trial: trial.margin, default=None)


def fail(found: Sequence[Level]) -> bool:
    """Whether the whole interval of a goal is below it."""
    return any(level.found.high is not None and level.found.high < level.goal.share for level in found)


def _is_of_no_use(fewer: Trial, more: Trial) -> bool:
    """Whether twice the agents, half of whom have nothing to do, gave the same result."""
    occupancy = Observations("", more.observed, {}, {}).estimate("all/occupancy", 0.95).value
    return fewer.level.value == more.level.value and (occupancy or 0.0) < _IDLE
