"""The search for the cheapest staffing (`chapar simulate --find-staff`) beside an exhaustive search.

    python -m tests.bench.staffing [--cases 20] [--seed 1]

Each case is a small pool, drawn at random: one to three types, two or three groups with skills, costs and loads of
their own, and a goal for each type. It is searched twice, with costs and without. The exhaustive search simulates every
staffing that is cheaper than the answer, on the same days and by the same rule (the estimates reach the goals), and
leaves a staffing early only where arithmetic excludes it: even if all customers of the remaining days were answered in
time, a goal would be missed. A figure of 1 means that no cheaper staffing exists.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from dataclasses import dataclass
from typing import Any, Final

from services.router.simulation.measures import Observed
from services.router.simulation.replications import Case, Laboratory, Question
from services.router.simulation.scenario import Scenario
from services.router.simulation.staff_search import Found, Search
from services.router.simulation.staffings import Sizes, Staffings
from services.router.simulation.targets import Target, asked_of, target
from tests.bench.figures import tell

SKILLS: Final = ("red", "green", "blue")
REPLICATIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Drawn:
    """A case: a scenario and its targets."""

    scenario: Scenario
    targets: list[str]


def a_case(numbers: random.Random, *, costs: bool) -> Drawn:
    """Draw a case."""
    skills = SKILLS[: numbers.randint(1, 3)]
    types: dict[str, Any] = {}
    for skill in skills:
        handling = numbers.choice([60, 90, 120, 180])
        load = numbers.uniform(0.4, 1.8)
        types[skill] = {
            "queue": "q",
            "requirements": [{"attribute": skill, "number": 1}],
            "arrivals": {"every": f"{handling / load:.1f}s"},
            "handling": {"distribution": "exponential", "mean": f"{handling}s"},
            "priority": numbers.randint(0, 1),
        }
        if numbers.random() < 0.5:
            types[skill]["patience"] = {"distribution": "exponential", "mean": "2m"}
    every = dict.fromkeys(skills, 1)
    known = [every, *({skill: 1} for skill in skills)]
    numbers.shuffle(known)
    groups: dict[str, Any] = {}
    for place in range(numbers.randint(2, 3)):
        able = known[place % len(known)] if place else every
        cost = 10 + 2 * len(able) + numbers.randint(0, 6)
        groups[f"g{place}"] = {"agents": 3, "skills": able, "cost_per_hour": cost if costs else 0}
    goals = [f"{skill}={numbers.choice([70, 80, 90])}/{numbers.choice([20, 60])}" for skill in skills]
    scenario = Scenario.model_validate(
        {
            "duration": "40m",
            "replications": REPLICATIONS,
            "types": types,
            "groups": groups,
            "seed": numbers.randint(1, 10**6),
        }
    )
    return Drawn(scenario, goals)


def exhaustive(laboratory: Laboratory, goal: Target, found: Found, staffings: Staffings) -> Sizes:
    """Return the cheapest staffing of all, with as many replications as the answer."""
    answer = tuple(found.least.sizes[name] for name in staffings.names)
    count = len(found.least.observed)
    offered = [
        [one.whole[f"{level.of}/service_level_offered"][1] for level in goal.goals] for one in found.least.observed
    ]
    most = _most(staffings, answer)
    cheaper = [sizes for sizes in itertools.product(*map(range, most)) if _below(staffings, sizes, answer)]
    for sizes in sorted(cheaper, key=staffings.objective):
        if _reaches(laboratory, goal, Case(sizes=tuple(staffings.named(sizes).items())), count, offered):
            return sizes
    return answer


def _most(staffings: Staffings, answer: Sizes) -> list[int]:
    """Return the first size of each group that alone costs as much as the answer, up to twice all its agents."""
    found = []
    for place in range(len(answer)):
        size = 0
        while size <= 2 * sum(answer) and _below(
            staffings, tuple(size if n == place else 0 for n in range(len(answer))), answer
        ):
            size += 1
        found.append(size)
    return found


def _below(staffings: Staffings, sizes: Sizes, answer: Sizes) -> bool:
    """Whether a staffing is cheaper in what is compared: cost, or the number of agents."""
    return staffings.objective(sizes)[0] < staffings.objective(answer)[0] - 1e-9


def _reaches(laboratory: Laboratory, goal: Target, case: Case, count: int, offered: list[list[float]]) -> bool:
    observed: list[Observed] = []
    for day in range(count):
        [[one]] = laboratory.run([case], day + 1, first=day)
        observed.append(one)
        for place, wanted in enumerate(goal.goals):
            in_time = sum(seen.whole[f"{wanted.of}/service_level_offered"][0] for seen in observed)
            later = sum(numbers[place] for numbers in offered[day + 1 :])
            total = sum(numbers[place] for numbers in offered)
            if in_time + later < wanted.share * total - 1e-9:
                return False
    return True


def compare(drawn: Drawn) -> tuple[float, Found]:
    """Return the answer's objective over the best one's, and the answer."""
    question = Question(drawn.scenario, shortcut=True)
    goal = target(drawn.targets, question)
    staffings = Staffings(drawn.scenario, list(drawn.scenario.groups))
    with Laboratory(asked_of(question, goal), 1) as laboratory:
        found = Search(laboratory, goal, 0.95).run()
        best = exhaustive(laboratory, goal, found, staffings)
    answer = tuple(found.least.sizes[name] for name in staffings.names)
    ratio = staffings.objective(answer)[0] / staffings.objective(best)[0]
    kind = "cost" if staffings.has_costs else "agents"
    print(
        f"{kind}: {len(answer)} groups, {len(goal.goals)} goals: {answer} after {found.tried} staffings and "
        f"{len(found.least.observed)} replications, best {best}: {ratio:.3f}{'' if found.decided else ' (not decided)'}",
        flush=True,
    )
    return ratio, found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for kind, most in (("agents", "<=1.00"), ("cost", "<=1.03")):
        began = time.process_time()
        results = [
            compare(a_case(random.Random(f"{given.seed}/{n}"), costs=kind == "cost")) for n in range(given.cases)
        ]
        ratios = [ratio for ratio, _ in results]
        tell(
            f"find_staff_vs_exhaustive_{kind}",
            round(sum(ratios) / len(ratios), 4),
            "ratio",
            most,
            worst=round(max(ratios), 4),
            cases=len(ratios),
            decided=sum(found.decided for _, found in results),
            tried=sum(found.tried for _, found in results),
            cpu_s=round(time.process_time() - began, 1),
        )


if __name__ == "__main__":
    main()
