"""Measures of logs that were written by hand."""

import pytest

from services.router.simulation.log import ABANDONED, ANSWERED, BLOCKED, UNSERVED, Log
from services.router.simulation.measures import NOT_SUMS, Observed, observe
from services.router.simulation.plan import make
from services.router.simulation.replications import Question
from services.router.simulation.results import Case, Results
from tests.unit.router.simulation.questions import a_run, a_scenario, calls

MINUTE = 60_000.0
TYPES = {"calls": calls(short_abandon="10s"), "mails": calls(service_level="60s")}


def a_log(*attempts: tuple[int, float, int, float]) -> Log:
    """Return a log of (kind, arrival in min, outcome, wait in s)."""
    kinds, arrived, outcomes, waits = zip(*attempts, strict=True)
    return Log(list(kinds), [at * MINUTE for at in arrived], list(outcomes), [wait * 1_000 for wait in waits])


def figures(seen: Observed) -> dict[str, float | None]:
    """Return the figures of the whole."""
    return {name: above / below if below else None for name, (above, below) in seen.whole.items()}


DAY = (
    (0, 5.0, ANSWERED, 0.0),
    (0, 10.0, ANSWERED, 20.0),
    (0, 15.0, ANSWERED, 30.0),
    (0, 20.0, ABANDONED, 5.0),
    (0, 25.0, ABANDONED, 15.0),
    (0, 30.0, BLOCKED, 0.0),
    (1, 35.0, ANSWERED, 50.0),
    (1, 40.0, UNSERVED, 900.0),
)


def test_customers() -> None:
    """The three denominators are correct, with a threshold and a separate bound for short abandons."""
    found = figures(observe(make(a_scenario(types=TYPES)), a_log(*DAY)))
    assert found["calls/offered"] == 5
    assert found["calls/service_level_offered"] == pytest.approx(2 / 5)
    assert found["calls/service_level_offered_less_short_abandons"] == pytest.approx(2 / 4)
    assert found["calls/service_level_answered"] == pytest.approx(2 / 3)
    assert found["calls/mean_wait_answered_s"] == pytest.approx(50 / 3)
    assert found["calls/mean_wait_s"] == pytest.approx(70 / 5)
    assert found["calls/abandoned"] == pytest.approx(2 / 5)
    assert found["calls/blocked"] == pytest.approx(1 / 6)
    assert found["calls/waited"] == pytest.approx(4 / 5)
    assert (found["mails/service_level_offered"], found["mails/unserved"]) == (0.5, 0.5)
    assert found["all/service_level_offered"] == pytest.approx(3 / 7)


def test_customers_during_the_warm_up_do_not_count() -> None:
    """Customers who try again after the end do not count either."""
    log = a_log(*DAY, (0, 61.0, ANSWERED, 1.0))
    found = figures(observe(make(a_scenario(types=TYPES, warm_up="12m")), log))
    assert (found["calls/offered"], found["calls/answered"]) == (3, 1)
    late = figures(observe(make(a_scenario(types=TYPES, warm_up="50m")), log))
    assert (late["calls/offered"], late["calls/service_level_offered"]) == (0, None)


def test_agents() -> None:
    """Two agents all the time, one busy 30 of 60 min, one 10: the longest idle time, hours and cost are correct."""
    groups = {"a": {"agents": 2, "cost_per_hour": 30}, "b": {"agents": 0}}
    plan = make(a_scenario(groups=groups, types=TYPES))
    log = a_log(*DAY)
    log.busy = [(0, 10 * MINUTE, 20 * MINUTE), (1, 0.0, 10 * MINUTE), (0, 25 * MINUTE, 45 * MINUTE)]
    found = figures(observe(plan, log))
    assert found["group a/occupancy"] == pytest.approx(40 / 120)
    assert found["group a/gini"] == pytest.approx(0.25)
    assert found["group a/most_over_mean"] == pytest.approx(1.5)
    assert found["group a/longest_idle_s"] == pytest.approx(50 * 60)
    assert (found["group a/staffed_hours"], found["group a/cost"], found["all/cost_per_answer"]) == (2, 60, 15)
    assert found["group b/occupancy"] is None


def test_intervals_across_the_borders_count_in_part() -> None:
    """Busy time and overtime count within the window only."""
    groups = {"a": {"shifts": [{"start": "0s", "end": "40m", "agents": 1}]}}
    plan = make(a_scenario(groups=groups, types=TYPES, warm_up="30m"))
    log = a_log(*DAY)
    log.busy, log.overtime = [(0, 20 * MINUTE, 50 * MINUTE)], [(0, 40 * MINUTE, 50 * MINUTE)]
    found = figures(observe(plan, log))
    assert found["group a/occupancy"] == 1
    assert found["group a/staffed_hours"] == pytest.approx(20 / 60)
    assert found["group a/longest_idle_s"] == 0


def test_batches_add_up_to_the_whole() -> None:
    """A single replication is divided into twenty batches; shares and means are those of the whole, and so are figures computed in other ways."""
    scenario = a_scenario(types=TYPES, replications=1)
    seen = observe(make(scenario), a_log(*DAY))
    assert len(seen.windows) == 20
    results = Results(Question(scenario), (Case("", [seen], {}, {}),), 0.95)
    for name, expected in figures(seen).items():
        found = results.estimate(results.cases[0], name)
        assert found.value == (None if expected is None else pytest.approx(expected)), name
        assert found.observations == 20
    assert {name.rpartition("/")[2] for name in seen.whole} >= NOT_SUMS


def test_by_period_and_curve() -> None:
    """The plots get offered, in time, answered, waits; and percentiles."""
    seen = observe(make(a_scenario(types=TYPES)), a_log(*DAY))
    assert seen.by_period[0].tolist() == [[5, 2, 3, 50], [0, 0, 0, 0]]
    assert seen.by_period[-1].tolist() == [[5, 2, 3, 50], [2, 1, 1, 50]]
    [[calls_, mails]] = seen.waits
    assert (calls_.points.tolist(), calls_.customers) == ([0, 5, 15, 20, 30], 5)
    assert mails.points.tolist() == [50, 900]


def test_a_day_without_customers() -> None:
    """Its figures have no value."""
    log = a_run((3599, 1), warm_up="30m")
    log.arrived[0] = 1.0
    seen = observe(make(a_scenario(warm_up="30m")), log)
    assert [one.customers for one in seen.waits[0]] == [0]
    assert figures(seen)["all/service_level_offered"] is None
