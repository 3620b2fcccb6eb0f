"""Shares with their sample size and interval."""

import pytest

from services.sla.domain.measures import Tally, service_level, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(7, 20, 0.1812, 0.5671), (10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (0, 0, 0.0, 1.0)],
)
def test_wilson_reference_values(successes: int, n: int, low: float, high: float) -> None:
    """7 of 20 and 10 of 10 are reference values of the feedback service; without observations the interval is 0 to
    1."""
    share = wilson(successes, n)
    assert share.low == pytest.approx(low, abs=5e-5)
    assert share.high == pytest.approx(high, abs=5e-5)
    assert share.n == n


def test_each_denominator_under_its_own_name() -> None:
    """80 kept (70 of them at the desired level), 15 breached of which 5 were answered late, 5 abandoned early, over
    two queues."""
    level = service_level([Tally(50, 10, 10, 3, 4), Tally(20, 0, 5, 2, 1)])
    assert (level.over_offered.value, level.over_offered.n) == (0.8, 100)
    assert (level.over_offered_less_short_abandons.value, level.over_offered_less_short_abandons.n) == (80 / 95, 95)
    assert (level.over_answered.value, level.over_answered.n) == (80 / 85, 85)
    assert (level.desired_level.value, level.desired_level.n) == (70 / 95, 95)
    assert level.breaches == 15
