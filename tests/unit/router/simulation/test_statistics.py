"""Intervals: they contain the true value as often as they claim, and pairs show small differences."""

import numpy as np
import pytest

from services.router.simulation.statistics import Estimate, difference, estimate


def test_a_ratio_is_of_sums() -> None:
    """One bad customer on a day with one customer does not weigh as much as a hundred."""
    assert estimate([(0.0, 1.0), (90.0, 99.0)], 0.95).value == 0.9


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 2,000 experiments with ten replications each and 90 % intervals, nine in ten contain it, within the noise of counting."""
    numbers = np.random.default_rng(5)
    held = 0
    for _ in range(2_000):
        customers = numbers.poisson(100, 10)
        held += estimate(list(zip(numbers.binomial(customers, 0.8), customers, strict=True)), 0.9).holds(0.8)
    assert 0.88 < held / 2_000 < 0.92


def test_student() -> None:
    """Two observations have t with one degree of freedom, 12.706 at 95 %."""
    found = estimate([(1.0, 1.0), (3.0, 1.0)], 0.95)
    assert [found.value, found.half, found.low, found.high] == pytest.approx([2, 12.706, -10.706, 14.706], abs=1e-3)


def test_pairs_show_small_differences() -> None:
    """Noise that both sides have in common does not count."""
    numbers = np.random.default_rng(5)
    noise = numbers.normal(0, 10, 20)
    ours = [(100 + n, 1.0) for n in noise]
    theirs = [(101 + n + m, 1.0) for n, m in zip(noise, numbers.normal(0, 0.1, 20), strict=True)]
    change = difference(ours, theirs, 0.95)
    assert change.value == pytest.approx(1, abs=0.1)
    assert change.half is not None
    assert change.half < 0.1
    assert not change.holds(0)


def test_nothing_to_say() -> None:
    """Without a denominator there is no value; with a single observation there is no interval."""
    assert estimate([(0.0, 0.0)] * 3, 0.95) == Estimate(None, None, 3)
    assert estimate([(1.0, 2.0)], 0.95) == Estimate(0.5, None, 1)
    assert difference([(0.0, 0.0)], [(1.0, 1.0)], 0.95).value is None
    assert not estimate([(1.0, 2.0)], 0.95).holds(0.5)
