"""The staffings that a search chooses from, and what they cost: pure arithmetic, without a simulation.

A staffing is the size of each varied group; the others keep theirs. The size of a group whose number varies over the day is its peak, because the
shape of the day is kept; or each shift of a group has a size of its own. More agents of a group never cost less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from services.router.simulation import scenario as sc
from services.router.simulation.plan import shift_name, sized

_HOUR_MS: Final = 3_600_000.0
_MOST_OF_PAIRS: Final = 12
"""Up to this number of groups, two agents of any groups are traded for one of another."""
Sizes = tuple[int, ...]
Objective = tuple[float, float]


class Staffings:
    """Sizes of the varied groups, in their order."""

    def __init__(self, scenario: sc.Scenario, varied: Sequence[str], *, each_shift: bool = False) -> None:
        """`each_shift`: vary each shift of the varied groups on its own."""
        self._scenario = scenario
        self._parts: dict[str, tuple[sc.Group, sc.Shift | None]] = {}
        names = []
        for name, group in scenario.groups.items():
            apart = group.shifts if each_shift and name in varied and group.shifts is not None else []
            parts: dict[str, tuple[sc.Group, sc.Shift | None]] = {
                shift_name(name, place): (group, shift) for place, shift in enumerate(apart)
            }
            if not parts:
                parts[name] = group, None
            self._parts.update(parts)
            names += list(parts) if name in varied else []
        self.names = tuple(names)
        self.planned = {
            name: shift.agents if shift is not None else sc.peak(group) for name, (group, shift) in self._parts.items()
        }
        self.fixed = sum(size for name, size in self.planned.items() if name not in names)
        self.has_costs = any(self._parts[name][0].cost_per_hour for name in names)
        self._hours: dict[tuple[str, int], float] = {}

    def named(self, sizes: Sizes) -> dict[str, int]:
        """Return the size of every group of the scenario."""
        return {**self.planned, **dict(zip(self.names, sizes, strict=True))}

    def cost(self, sizes: Mapping[str, int]) -> float:
        """Return what the planned hours of all groups cost, without the warm-up."""
        return sum(self._parts[name][0].cost_per_hour * self.hours(name, size) for name, size in sizes.items())

    def hours(self, name: str, size: int) -> float:
        """Return the planned hours of a group of this size."""
        if (name, size) not in self._hours:
            group, shift = self._parts[name]
            alone = [shift.model_copy(update={"agents": size})] if shift is not None else []
            grown = group.model_copy(update={"shifts": alone}) if alone else sized(group, size)
            self._hours[name, size] = _hours(grown, self._scenario)
        return self._hours[name, size]

    def objective(self, sizes: Sizes) -> Objective:
        """Return what is minimised: cost and then the number of agents; without costs, the number of agents and then their hours."""
        named = self.named(sizes)
        if self.has_costs:
            return round(self.cost(named), 6), float(sum(sizes))
        return float(sum(sizes)), round(sum(self.hours(name, size) for name, size in named.items()), 6)

    def spread(self, agents: int) -> Sizes:
        """Spread a number of agents over the groups, in the scenario's proportions (largest remainders)."""
        planned = [max(1, self.planned[name]) for name in self.names]
        total = sum(planned)
        sizes = [agents * size // total for size in planned]
        order = sorted(range(len(planned)), key=lambda n: (-(agents * planned[n] % total), self.names[n]))
        for place in order[: agents - sum(sizes)]:
            sizes[place] += 1
        return tuple(sizes)

    def most_expensive_first(self) -> list[int]:
        """Return the places of the groups, by the cost of an agent."""
        rates = [self._parts[name][0].cost_per_hour for name in self.names]
        return sorted(range(len(self.names)), key=lambda n: (-rates[n], self.names[n]))

    def trades(self, sizes: Sizes) -> list[Sizes]:
        """Return the cheaper staffings with one agent less, or with one or two less in groups and one more in another; the cheapest last."""
        best = self.objective(sizes)
        found = set()
        for less in range(len(sizes)):
            one = moved(sizes, less, -1)
            found.add(one)
            for more in range(len(sizes)):
                if more != less:
                    found.add(moved(one, more, 1))
                    others = range(len(sizes)) if len(sizes) <= _MOST_OF_PAIRS else range(0)
                    found.update(moved(moved(one, other, -1), more, 1) for other in others if other != more)
        cheaper = [one for one in found if min(one) >= 0 and self.objective(one) < best]
        return sorted(cheaper, key=lambda one: (self.objective(one), one), reverse=True)

    def greatest_below(self, best: Sizes, least: Sizes, most: int) -> Iterator[Sizes]:
        """Yield the cheaper staffings with at least `least` agents to which no agent can be added without costing as much as `best`, up to
        `most` agents a group.

        If more agents never do harm and none of these reaches a target, no cheaper staffing does.
        """
        goal = self.objective(best)
        if self.objective(least) >= goal:
            return
        yield from self._greatest(list(least), 0, goal, most)

    def _greatest(self, sizes: list[int], place: int, goal: Objective, most: int) -> Iterator[Sizes]:
        last = place == len(sizes) - 1
        first = sizes[place]
        while sizes[place] < most and self.objective(tuple(moved(tuple(sizes), place, 1))) < goal:
            sizes[place] += 1
        if last:
            found = tuple(sizes)
            grown = (moved(found, n, 1) for n in range(len(found)) if found[n] < most)
            if all(self.objective(one) >= goal for one in grown):
                yield found
        else:
            highest = sizes[place]
            for size in range(highest, first - 1, -1):
                sizes[place] = size
                yield from self._greatest(sizes, place + 1, goal, most)
        sizes[place] = first


def moved(sizes: Sizes, place: int, by: int) -> Sizes:
    """Return a staffing with more or fewer agents in one group."""
    return (*sizes[:place], sizes[place] + by, *sizes[place + 1 :])


def distance(one: Sizes, other: Sizes) -> int:
    """Return the number of agents by which two staffings differ."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def is_within(one: Sizes, other: Sizes) -> bool:
    """Whether no group of the first is larger than the same of the second."""
    return all(a <= b for a, b in zip(one, other, strict=True))


def _hours(group: sc.Group, scenario: sc.Scenario) -> float:
    """Return the planned hours of a group after the warm-up, as in the results."""
    begin, end = scenario.warm_up, scenario.duration

    def counted(start: float, stop: float) -> float:
        return max(0.0, min(stop, end) - max(start, begin)) / _HOUR_MS

    if group.shifts is not None:
        return sum(one.agents * counted(one.start, one.end) for one in group.shifts)
    if isinstance(group.agents, int):
        return group.agents * counted(0, end)
    numbers, period = group.agents or [0], scenario.period
    periods = int(-(-end // period))
    return sum(numbers[n % len(numbers)] * counted(n * period, (n + 1) * period) for n in range(periods))
