"""Quantiles of waits: of all customers together, with intervals that contain the true value as often as they claim."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.simulation.distributions import Vector
from services.router.simulation.log import ANSWERED, Log
from services.router.simulation.measures import observe
from services.router.simulation.plan import make
from services.router.simulation.plots import shares
from services.router.simulation.replications import Question
from services.router.simulation.results import Case, Results
from services.router.simulation.statistics import Estimate
from services.router.simulation.waits import LEAST_POINTS, Waits, of_type, sample
from tests.unit.router.simulation.questions import a_scenario


def waits(*days: Sequence[float] | Vector) -> Waits:
    """Return the waits of these days, of one type."""
    return Waits([[sample(np.array(day, dtype=np.float64), len(days))] for day in days])


def test_customers_count_and_not_days() -> None:
    """Nine quiet days with one customer each, who does not wait, and a busy day with 91: half of all customers wait 46 s or less."""
    busy = np.arange(1.0, 92.0)
    found = waits(*[[0.0]] * 9, busy)
    assert found.quantile(0.5) == 41
    assert found.quantile(0.09) == 0
    assert found.quantile(0.9) == 81


@given(
    st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.5, 7.0, 40.0]), max_size=8), min_size=1, max_size=6),
    st.just(0.0) | st.floats(1e-6, 1),
)
def test_a_quantile_is_that_of_the_pooled_waits(days: list[list[float]], share: float) -> None:
    """At least the share waits so long at most, and less than the share waits less. The interval contains the value."""
    found, pooled = waits(*days).quantile(share), np.array([wait for day in days for wait in day])
    if not len(pooled):
        assert found is None
        return
    assert found is not None
    assert (pooled <= found).mean() >= share - 1e-9
    assert not share or (pooled < found).mean() < share
    estimated = waits(*days).estimate(share, 0.9)
    assert estimated.observations == len(days)
    assert len(days) == 1 or estimated.holds(found)


def test_types_together_weigh_as_many_as_they_are() -> None:
    """The samples of two types are one distribution, also where one has more customers than points are kept."""
    many = sample(np.full(100 * LEAST_POINTS, 5.0), 1_000_000)
    few = sample(np.full(LEAST_POINTS, 1.0), 1_000_000)
    assert (len(many.points), many.customers) == (LEAST_POINTS, 100 * LEAST_POINTS)
    both = of_type([(many, few)] * 2, -1)
    assert both.quantile(0.009) == 1
    assert both.quantile(0.02) == 5
    assert of_type([(many, few)] * 2, 1).quantile(0.9) == 1


def test_a_sample_keeps_the_distribution() -> None:
    """Of 40,000 waits, 400 are kept; each quantile moves by an eighth of a percentage point at most."""
    found = sample(np.arange(40_000.0), 1_000_000)
    assert len(found.points) == 400
    for share in (0.1, 0.5, 0.9, 0.99):
        assert Waits([[found]]).quantile(share) == pytest.approx(40_000 * share, abs=51)


@pytest.mark.parametrize("share", [0.9, 0.95])
def test_intervals_hold_the_truth_as_often_as_they_say(share: float) -> None:
    """Days with a common factor, as busy days have: of 400 experiments with 30 days, nine in ten of the 90 % intervals contain the true quantile."""
    numbers = np.random.default_rng(3)

    def a_day(customers: int = 60) -> Vector:
        busy = numbers.gamma(25, 0.04)
        wait = numbers.exponential(busy**5, round(customers * busy))
        return np.where(numbers.random(len(wait)) < 0.6 / max(busy, 0.7), 0.0, wait)

    truth = waits(*[a_day(2_000) for _ in range(1_500)]).quantile(share)
    assert truth is not None
    found = [waits(*[a_day() for _ in range(30)]).estimate(share, 0.9) for _ in range(400)]
    held = sum(one.holds(truth) for one in found)
    missed_above = sum(one.high is not None and truth > one.high for one in found)
    assert 0.86 < held / 400 < 0.95
    assert missed_above / 400 < 0.1  # without the correction for skewness: 0.11 and 0.17


def test_ends_that_are_not_known() -> None:
    """One day has no interval. Few customers say nothing about the longest waits: their interval has no upper end. No customers, no value."""
    assert waits([1.0, 2.0]).estimate(0.5, 0.9) == Estimate(1.0, None, 1)
    few = waits([1.0, 2.0], [3.0, 4.0]).estimate(0.95, 0.95)
    assert (few.value, few.high) == (4.0, None)
    assert few.holds(1_000)
    assert waits([], []).estimate(0.9, 0.9) == Estimate(None, None, 2)
    assert np.isnan(waits([], []).curve(5)).all()
    assert waits([1.0], [2.0]).deviations(0.5, 0.9) is None
    one_bad_day = waits(*[[0.0] * 1_000] * 9, [0.0] * 500 + [60.0] * 500).estimate(0.96, 0.9)
    assert (one_bad_day.value, one_bad_day.high) == (60.0, None)


def test_the_curve_and_its_band() -> None:
    """They are those of all customers; the band contains the curve."""
    numbers = np.random.default_rng(4)
    found = waits(*[numbers.exponential(10, 300) for _ in range(10)])
    curve = found.curve(101)
    low, high = found.band(101, 0.9)
    assert curve[50] == found.quantile(0.5)
    assert (low[:99] <= curve[:99]).all()
    assert (high[:99] >= curve[:99]).all()
    exact = found.estimate(0.5, 0.9)
    assert exact.low is not None
    assert low[50] <= exact.low < curve[50]


def test_pairs_show_small_differences() -> None:
    """With the same days on both sides, an answer one second earlier shows, although days differ by minutes."""
    numbers = np.random.default_rng(5)
    scenario = a_scenario(replications=20)
    plan = make(scenario)
    days = [100 * numbers.gamma(4, 0.25) + numbers.exponential(30, 200) for _ in range(20)]

    def a_case(faster: float) -> Case:
        arrived = np.linspace(1, 3_500_000, 200).tolist()
        logs = [Log([0] * 200, arrived, [ANSWERED] * 200, ((day - faster) * 1_000).tolist()) for day in days]
        return Case("", [observe(plan, log) for log in logs], {}, {})

    results = Results(Question(scenario), (a_case(0), a_case(1)), 0.95)
    change = results.difference("all/wait_p90_s")
    alone = results.estimate(results.cases[0], "calls/wait_p90_s")
    assert change.value == pytest.approx(-1)
    assert change.half is not None
    assert change.half < 0.2
    assert alone.high is not None
    assert alone.low is not None
    assert alone.high - alone.low > 20


def test_intervals_of_shares_are_clipped() -> None:
    """A band in a picture does not go beyond what a share can be."""
    low, high = shares(np.array([0.99, 0.02, 0.5]), np.array([0.05, 0.05, 0.1]))
    assert low.tolist() == pytest.approx([94, 0, 40])
    assert high.tolist() == pytest.approx([100, 7, 60])
