"""Quality of forecasts of breaches: `python -m tests.bench.sla_prediction [--days 20] [--held-back 8] [--lanes 4]
[--callers]`.

Simulated days of a call centre (`sla_days.py`), some calm, some overloaded for hours. On the first days the lanes
learn, as they do live. On the held-back days nothing is learned, and each forecast is compared with the outcome of its
deadline. A forecast is made when the lane makes it: when the deadline is set, and at a quarter, a half and three
quarters of the time allowed, if it is then still open.

`breach_brier_skill` is 1 - Brier score / Brier score of the base rate, for pick-up, over all those forecasts; the base
rate is the share breached on the held-back days themselves, which is not known beforehand. `{at queueing}` takes the
first forecast of each deadline alone, and `{own moment}` compares each with the base rate of its own moment: that an
older deadline is breached more often is then not an advantage. The other targets are reported in braces.
"""

import argparse
import time
from collections.abc import Iterable
from typing import Final

from services.policy.model.sla import Plan, Policy, Target, TargetPlan
from services.router.simulation.scenario import Scenario
from tests.bench.figures import NO_GOAL, tell
from tests.bench.sla_days import Forecast, Lane, a_day, callers, chats, spread

GOAL: Final = ">=0.3"
DAY_CV: Final = 0.25
_S: Final = 1_000


def policy(queue: str, pick_up_s: int, resolution_s: int) -> Policy:
    """Return the targets of a queue: the desired levels; the adequate ones are three and two times as long."""
    targets = (
        TargetPlan.of(Target.PICK_UP, pick_up_s * _S, 3 * pick_up_s * _S),
        TargetPlan.of(Target.FIRST_RESPONSE, 2 * pick_up_s * _S, 4 * pick_up_s * _S),
        TargetPlan.of(Target.RESOLUTION, resolution_s * _S, 2 * resolution_s * _S),
    )
    return Policy(Plan(queue, queue, 1, targets), frozenset([queue]))


POLICIES: Final = (policy("sales", 20, 240), policy("support", 60, 480))


def forecasts(wanted: Scenario, days: int, held_back: int, lanes: int) -> list[Forecast]:
    """Return the forecasts of the held-back days."""
    made = [Lane(POLICIES) for _ in range(lanes)]
    for number in range(days):
        if number == days - held_back:
            for lane in made:
                lane.watched.examine()
        spread(a_day(wanted, number), made)
    return [told for lane in made for told in lane.watched.told if told.day >= days - held_back]


def brier(told: Iterable[Forecast]) -> tuple[float, float, int]:
    """Return the sum of squared errors, that of their base rate, and their number."""
    told = list(told)
    if not told:
        return 0.0, 0.0, 0
    base = sum(f.broken for f in told) / len(told)
    return sum((f.probability - f.broken) ** 2 for f in told), len(told) * base * (1 - base), len(told)


def skill(*parts: tuple[float, float, int]) -> float:
    """Return the skill over parts, each compared with a base rate of its own."""
    reference = sum(part[1] for part in parts)
    return 1 - sum(part[0] for part in parts) / reference if reference else 0.0


def reliability(told: list[Forecast]) -> None:
    """Print by tenths of the forecast: the forecast, and the outcome."""
    print(f"{'forecast':>10} {'n':>7} {'mean':>7} {'breached':>8}")
    for tenth in range(10):
        here = [f for f in told if min(9, int(f.probability * 10)) == tenth]
        if here:
            mean, broken = sum(f.probability for f in here) / len(here), sum(f.broken for f in here) / len(here)
            print(f"{tenth / 10:4.1f}-{(tenth + 1) / 10:.1f}  {len(here):7} {mean:7.3f} {broken:8.3f}")


def main() -> None:
    """Print the tables and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--held-back", type=int, default=8)
    parser.add_argument("--lanes", type=int, default=4)
    parser.add_argument(
        "--callers", action="store_true", help="the call centre as it is: most callers hang up before 60 s"
    )
    given = parser.parse_args()
    began = time.monotonic()
    told = forecasts((callers if given.callers else chats)(DAY_CV), given.days, given.held_back, given.lanes)
    print(
        f"{given.days} days, the last {given.held_back} held back, {given.lanes} lanes: {time.monotonic() - began:.0f} s"
    )
    print(
        "share of pick-ups breached, by held-back day:",
        *(f"{_share(told, day):.3f}" for day in sorted({f.day for f in told})),
    )
    print(f"{'target':>15} {'moment':>7} {'n':>7} {'breached':>8} {'skill':>7}")
    for target in Target:
        for moment in sorted({f.moment for f in told if f.target is target}):
            here = [f for f in told if f.target is target and f.moment == moment]
            share = sum(f.broken for f in here) / len(here)
            print(f"{target.name:>15} {moment:7} {len(here):7} {share:8.3f} {skill(brier(here)):7.3f}")
    reliability(told)
    for target in Target:
        here = [f for f in told if f.target is target]
        if not here:
            continue
        details = {"n": len(here), "days": given.days, "held_back": given.held_back, "lanes": given.lanes}
        name = "" if target is Target.PICK_UP else f"{{{target.name.lower()}}}"
        tell(f"breach_brier_skill{name}", round(skill(brier(here)), 3), "ratio", NO_GOAL if name else GOAL, **details)
        if not name:
            first = brier(f for f in here if f.moment == 0)
            own = [brier(f for f in here if f.moment == m) for m in sorted({f.moment for f in here})]
            tell("breach_brier_skill{at queueing}", round(skill(first), 3), "ratio", **details)
            tell("breach_brier_skill{own moment}", round(skill(*own), 3), "ratio", **details)


def _share(told: list[Forecast], day: int) -> float:
    here = [f.broken for f in told if f.day == day and f.moment == 0 and f.target is Target.PICK_UP]
    return sum(here) / len(here) if here else 0.0


if __name__ == "__main__":
    main()
