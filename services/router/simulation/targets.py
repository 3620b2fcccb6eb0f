"""What a search for the least staffing must reach: a service level for all types together, or a level and a time for each type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.router.simulation import scenario as sc
from services.router.simulation.measures import ALL, Observed
from services.router.simulation.replications import Question
from services.router.simulation.results import Case
from services.router.simulation.statistics import Estimate

_GOAL = re.compile(r"(\d{1,3}(?:\.\d+)?)/(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Goal:
    """`share` of the offered interactions of a type, or of all types together, are answered within `within_s` seconds."""

    share: float
    within_s: float
    of: str = ALL

    def __str__(self) -> str:
        return f"{self.share:.1%} within {self.within_s:g} s{f' for `{self.of}`' if self.of != ALL else ''}"


@dataclass(frozen=True, slots=True)
class Target:
    """Goals that all must be reached."""

    goals: tuple[Goal, ...]

    def __str__(self) -> str:
        if len(self.goals) > 1 and len({(goal.share, goal.within_s) for goal in self.goals}) == 1:
            return f"{replace(self.goals[0], of=ALL)} for each type"
        return ", ".join(map(str, self.goals))


def target(texts: Sequence[str], question: Question, *, each: bool = False) -> Target:
    """Parse targets such as "80/20" and "chats=80/60". Raises ValueError.

    The one without a type is for all types together. With `each`, or beside targets of types, it is for each type that has none of its own.
    """
    types = list(_types(question))
    general: Goal | None = None
    own: dict[str, Goal] = {}
    for text in texts:
        name, _, numbers = text.rpartition("=")
        goal = _goal(numbers, text)
        if not name:
            if general is not None:
                raise ValueError(f"two targets for all types: {general} and {goal}")
            general = goal
        elif name not in types:
            raise ValueError(f"`{name}` is not a type; there are {', '.join(types)}")
        elif name in own:
            raise ValueError(f"two targets for `{name}`: {own[name]} and {goal}")
        else:
            own[name] = replace(goal, of=name)
    if general is not None and not own and not each:
        return Target((general,))
    if general is not None:
        own = {name: own.get(name, replace(general, of=name)) for name in types}
    return Target(tuple(own[name] for name in types if name in own))


def _goal(numbers: str, text: str) -> Goal:
    found = _GOAL.fullmatch(numbers.strip())
    if found is None or not 0 < float(found[1]) < 100 or float(found[2]) <= 0:
        raise ValueError(f"must be like 80/20 (80 % within 20 s) or TYPE=80/20, not {text!r}")
    return Goal(float(found[1]) / 100, float(found[2]))


def _types(question: Question) -> dict[str, sc.InteractionType]:
    types = dict(question.scenario.types)
    for looks in question.recording.looks if question.recording is not None else ():
        types.setdefault(looks.type, sc.InteractionType(queue=looks.queue))
    return types


def asked_of(question: Question, wanted: Target) -> Question:
    """Return the same question with the target's times as thresholds, also of recorded types. A type without a goal keeps its threshold."""
    within = {goal.of: goal.within_s * 1_000 for goal in wanted.goals}
    types = {}
    for name, kind in _types(question).items():
        threshold = within.get(name, within.get(ALL))
        changes = {"service_level": threshold, "short_abandon": None} if threshold is not None else {}
        types[name] = kind.model_copy(update=changes)
    return replace(question, scenario=question.scenario.model_copy(update={"types": types}))


@dataclass(frozen=True, slots=True)
class Level:
    """What a staffing reaches of one goal."""

    goal: Goal
    found: Estimate

    @property
    def margin(self) -> float:
        """Return by how much the estimate is above the goal; a type without customers is as good as can be."""
        return 1.0 if self.found.value is None else self.found.value - self.goal.share


def levels(wanted: Target, observed: Sequence[Observed], confidence: float) -> tuple[Level, ...]:
    """Return the level of each goal."""
    case = Case("", observed, {}, {})
    return tuple(Level(goal, case.estimate(f"{goal.of}/service_level_offered", confidence)) for goal in wanted.goals)
