"""Time for one deadline in business time: `python -m tests.bench.sla_calendar`.

One deadline means the calculations of the engine when a deadline is set: three due times (a warning and two levels)
and, when it is kept, the time used. Calendars have split shifts, daylight saving and public holidays; starts are random
over three years; a warm-up makes the calendars grow first. The figure is the median of several rounds, in the process's
CPU time, so that other load on the machine does not count.
"""

import random
import statistics
import time

from services.policy.model.business_time import OpeningHours
from services.policy.model.calendars import CalendarSpec, OpenHours
from services.policy.model.sla import Target, TargetPlan
from services.policy.reading.business_calendar import year_of
from services.policy.reading.open_years import OpenYears
from services.sla.domain.deadlines import State, decide, start
from tests.bench.figures import tell

GOAL_US = 20
_ROUNDS, _DEADLINES = 9, 5_000
_SHIFTS = ((8 * 60, 12 * 60), (13 * 60, 18 * 60))
SPECS = (
    CalendarSpec("Asia/Tehran", tuple(OpenHours(day, *shift) for day in (5, 6, 0, 1, 2) for shift in _SHIFTS), "IR"),
    CalendarSpec("Europe/Berlin", tuple(OpenHours(day, *shift) for day in range(5) for shift in _SHIFTS), "DE"),
    CalendarSpec("America/New_York", tuple(OpenHours(day, 0, 1440) for day in range(7)), "US"),
)
PLAN = TargetPlan.of(Target.FIRST_RESPONSE, 3_600_000, 4 * 3_600_000, (0.75,))


def main() -> None:
    """Print the figure."""
    draw = random.Random(5)
    calendars = [OpeningHours(OpenYears(spec), year_of) for spec in SPECS]
    starts = [1_704_067_200_000 + draw.randrange(3 * 365 * 86_400_000) for _ in range(_DEADLINES)]
    rounds = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        for number, at_ms in enumerate(starts):
            calendar = calendars[number % len(calendars)]
            deadline = start(PLAN, 1, at_ms, calendar)
            decide(deadline, State.MET, at_ms + 7_200_000, calendar)
        rounds.append((time.process_time() - begun) / _DEADLINES * 1e6)
    print(
        f"first round {rounds[0]:.1f} us a deadline (calendars grow), then {', '.join(f'{r:.1f}' for r in rounds[1:])}"
    )
    tell("calendar_us", round(statistics.median(rounds[1:]), 1), "us", f"<={GOAL_US}")


if __name__ == "__main__":
    main()
