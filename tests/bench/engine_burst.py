"""Bursts: many interactions arrive at once while many agents are idle, in queues that choose by skill score. How near
does the engine come to the best possible assignment (`scipy.optimize.linear_sum_assignment`, largest total score)?

With `match_window` the engine collects new interactions and agents and matches them at the window's end: the bench
enqueues the burst within one window and lets the window pass. Without it, each arrival is offered at once. `python -m
tests.bench.engine_burst` prints both, and the result of other rules for the same bursts.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from services.policy.model.eligibility import meets_all, score
from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    Choice,
    Operator,
    PoolConfig,
    QueueConfig,
    Selector,
)
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from services.router.domain.model import InteractionAttributes
from tests.bench.engine_pool import START, gateway_of

Scores = npt.NDArray[np.float64]
"""By interaction and agent; 0 if the agent may not take it."""
Assignment = dict[int, int]
"""Agent of each interaction that has one."""

_SKILLS: Final = ("a", "b", "c", "d", "e", "f")
_QUEUES: Final = 3
_ROUNDING: Final = 1e-12
_WINDOW_MS: Final = 200
WITH_WINDOW, AT_ONCE = "engine, match_window 200 ms", "engine, each arrival at once"


@dataclass(frozen=True, slots=True)
class Burst:
    """Agents, who take one interaction at a time, and the interactions that arrive at once."""

    agents: tuple[AgentProfile, ...]
    arrivals: tuple[InteractionAttributes, ...]

    def scores(self) -> Scores:
        """Return how well each agent suits each arrival."""
        found = np.zeros((len(self.arrivals), len(self.agents)))
        for row, attributes in enumerate(self.arrivals):
            for column, agent in enumerate(self.agents):
                skills = dict(agent.skills)
                if meets_all(attributes.requirements, skills):
                    found[row, column] = score(attributes.requirements, skills)
        return found


def a_burst(rng: Random) -> Burst:
    """Return twenty to forty interactions for thirty to fifty idle agents; one to three requirements each."""
    agents = tuple(
        AgentProfile(
            f"agent-{n:02}",
            skills=tuple(
                (skill, float(rng.randint(1, 10))) for skill in sorted(rng.sample(_SKILLS, rng.randint(3, 6)))
            ),
        )
        for n in range(rng.randint(30, 50))
    )
    arrivals = tuple(
        InteractionAttributes(
            f"i{n:02}",
            f"c{n:02}",
            channel="chat",
            queue=f"q{rng.randrange(_QUEUES)}",
            requirements=tuple(
                Selector(skill, Operator.AT_LEAST, float(rng.randint(1, 8)))
                for skill in rng.sample(_SKILLS, rng.randint(1, 3))
            ),
            arrived_at_ms=START,
        )
        for n in range(rng.randint(20, 40))
    )
    return Burst(agents, arrivals)


def by_engine(burst: Burst, window_ms: int = 0) -> Assignment:
    """Return the offers after the burst and its match window have ended."""
    engine = Engine()
    queues = tuple(QueueConfig(f"q{n}", choice=Choice.SKILL_SCORE, match_window_ms=window_ms) for n in range(_QUEUES))
    config = PoolConfig(1, queues=queues, agents=burst.agents, profiles=(CapacityProfile(),))
    engine.handle(cmd.ActivateConfiguration(config), START)
    for n, agent in enumerate(burst.agents):
        engine.handle(cmd.SignIn(agent.agent_id, f"s{n}", reply_to=gateway_of(0)), START)
    rows = {attributes.interaction_id: n for n, attributes in enumerate(burst.arrivals)}
    columns = {agent.agent_id: n for n, agent in enumerate(burst.agents)}
    effects = [effect for attributes in burst.arrivals for effect in engine.handle(cmd.Enqueue(attributes), START)]
    effects += engine.advance(START + window_ms)
    found: Assignment = {}
    for effect in effects:
        if isinstance(effect, fx.Offered):
            found[rows[effect.attributes.interaction_id]] = columns[effect.agent_id]
        elif isinstance(effect, fx.OfferEnded):
            del found[rows[effect.attributes.interaction_id]]
    return found


def total(scores: Scores, assignment: Assignment) -> float:
    """Return the score of an assignment in which each agent appears at most once."""
    if len(set(assignment.values())) != len(assignment):
        raise AssertionError("an agent was given two interactions")
    if not all(scores[pair] for pair in assignment.items()):
        raise AssertionError("an agent was given an interaction that they may not take")
    return float(sum(scores[pair] for pair in assignment.items()))


def best(scores: Scores) -> Assignment:
    """Return an assignment with the largest total."""
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return {int(row): int(column) for row, column in zip(rows, columns, strict=True) if scores[row, column]}


# Other rules, for comparison


def in_turn(scores: Scores) -> Assignment:
    """Let each interaction take the best remaining agent, in order of arrival."""
    return _greedy(scores, range(len(scores)))


def hardest_first(scores: Scores) -> Assignment:
    """As `in_turn`, but interactions that few agents can serve come first."""
    return _greedy(scores, sorted(range(len(scores)), key=lambda row: int(np.count_nonzero(scores[row]))))


def by_regret(scores: Scores) -> Assignment:
    """Always assign next the interaction that would lose most if its best remaining agent were gone."""
    left, free, found = set(range(len(scores))), scores.copy(), Assignment()
    while left:
        ranked = {row: np.sort(free[row])[::-1][:2] for row in left}
        row = max(left, key=lambda r: (float(ranked[r][0] - ranked[r][-1]), -r))
        column = int(free[row].argmax())
        left.discard(row)
        if free[row, column]:
            found[row] = column
            free[:, column] = 0
    return found


def _greedy(scores: Scores, order: Iterable[int]) -> Assignment:
    free, found = scores.copy(), Assignment()
    for row in order:
        column = int(free[row].argmax())
        if free[row, column]:
            found[row] = column
            free[:, column] = 0
    return found


def with_swaps(scores: Scores) -> Assignment:
    """Assign in turn; then, as long as the total grows, let an interaction take another's agent; the other one takes
    the agent given up, or the best idle one, or none."""
    found = in_turn(scores)
    while _improved(scores, found):
        pass
    return found


def _improved(scores: Scores, found: Assignment) -> bool:
    idle = [column for column in range(scores.shape[1]) if column not in set(found.values())]
    for row in range(len(scores)):
        mine = found.get(row)
        given_up = idle if mine is None else [mine, *idle]
        have = scores[row, mine] if mine is not None else 0.0
        for other, theirs in list(found.items()):
            if other == row or not scores[row, theirs]:
                continue
            place = max(given_up, key=lambda column: float(scores[other, column]), default=theirs)
            kept = scores[other, place] if place != theirs else 0.0
            if scores[row, theirs] + kept > have + scores[other, theirs] + _ROUNDING:
                del found[other]
                if kept:
                    found[other] = place
                found[row] = theirs
                return True
    return False


def one_by_one(scores: Scores, known: int | None = None) -> Assignment:
    """Let each arrival take the path of changes that gains most (Kuhn 1955, in the form of Jonker and Volgenant
    1987): the best assignment after each arrival. `known`: only this number of the best agents of each are
    considered. Plain Python, as it could be in the engine."""
    weights = scores.copy()
    if known is not None and known < scores.shape[1]:
        least = np.sort(scores, axis=1)[:, -known]
        weights[scores < least[:, None]] = 0.0
    if weights.shape[0] > weights.shape[1]:
        turned = _paths((-weights.T).tolist())
        return {row: column for column, row in turned.items() if weights[row, column]}
    return {row: column for row, column in _paths((-weights).tolist()).items() if weights[row, column]}


def _paths(costs: list[list[float]]) -> Assignment:
    """Return the least total cost of rows; there must not be more rows than columns. `owner[0]` is the row that is
    being placed; rows and columns count from 1."""
    rows, columns = len(costs), len(costs[0]) if costs else 0
    of_row, of_column = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        least, before, done = [float("inf")] * (columns + 1), [0] * (columns + 1), [False] * (columns + 1)
        while True:
            done[column] = True
            at, step, following = owner[column], float("inf"), 0
            line, price = costs[at - 1], of_row[at]
            for j in range(1, columns + 1):
                if not done[j]:
                    reduced = line[j - 1] - price - of_column[j]
                    if reduced < least[j]:
                        least[j], before[j] = reduced, column
                    if least[j] < step:
                        step, following = least[j], j
            for j in range(columns + 1):
                if done[j]:
                    of_row[owner[j]] += step
                    of_column[j] -= step
                else:
                    least[j] -= step
            column = following
            if not owner[column]:
                break
        while column:
            owner[column] = owner[before[column]]
            column = before[column]
    return {row - 1: column - 1 for column, row in enumerate(owner) if column and row}


RULES: Final[dict[str, Callable[[Scores], Assignment]]] = {
    "in order of arrival": in_turn,
    "hardest first": hardest_first,
    "largest regret first": by_regret,
    "in order of arrival, then swaps": with_swaps,
    "paths, 3 best agents of each": lambda scores: one_by_one(scores, 3),
    "paths, 5 best agents of each": lambda scores: one_by_one(scores, 5),
    "paths, 10 best agents of each": lambda scores: one_by_one(scores, 10),
    "paths, all agents": one_by_one,
}


@dataclass(slots=True)
class Quality:
    """Total score and the best possible one, burst by burst, and milliseconds of CPU per burst."""

    reached: list[float] = field(default_factory=list)
    possible: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def add(self, scores: Scores, most: float, decide: Callable[[], Assignment]) -> None:
        """Add one burst."""
        began = time.process_time()
        assignment = decide()
        self.ms.append((time.process_time() - began) * 1000)
        self.reached.append(total(scores, assignment))
        self.possible.append(most)

    @property
    def share(self) -> float:
        """Share of the best possible score, over all bursts."""
        return sum(self.reached) / sum(self.possible)

    @property
    def worst(self) -> float:
        """Share of the best possible score, in the worst burst."""
        return min(reached / possible for reached, possible in zip(self.reached, self.possible, strict=True))


def qualities(bursts: int, rules: dict[str, Callable[[Scores], Assignment]], seed: int = 5) -> dict[str, Quality]:
    """Return the quality of the engine (whose time includes signing in all agents), and of other rules."""
    rng = Random(seed)
    found = {name: Quality() for name in (WITH_WINDOW, AT_ONCE, *rules)}
    for _ in range(bursts):
        burst = a_burst(rng)
        scores = burst.scores()
        most = total(scores, best(scores))
        found[WITH_WINDOW].add(scores, most, partial(by_engine, burst, _WINDOW_MS))
        found[AT_ONCE].add(scores, most, partial(by_engine, burst))
        for name, rule in rules.items():
            found[name].add(scores, most, partial(rule, scores))
    return found


def table(found: dict[str, Quality]) -> str:
    """Return a table by rule: share of the best over all bursts, share in the worst of them, milliseconds."""
    rows = [f"{'rule':34}{'share':>9}{'worst':>9}{'ms':>9}"]
    for name, quality in found.items():
        ms = sum(quality.ms) / len(quality.ms)
        rows.append(f"{name:34}{quality.share:9.4f}{quality.worst:9.4f}{ms:9.2f}")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(qualities(200, RULES)))
