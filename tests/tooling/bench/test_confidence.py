"""The interval of a ratio of percentiles."""

import random

from tests.bench.confidence import least_samples, ratio_interval


def test_a_p99_needs_a_thousand_samples() -> None:
    """Ten of them lie beyond it."""
    assert least_samples(0.99) == 1000
    assert least_samples(0.5) == 20


def test_the_interval_holds_the_true_ratio_and_narrows_with_samples() -> None:
    """Twice an exponential latency over the same: the ratio of any percentile is 2."""
    draw = random.Random(7)

    def interval(count: int) -> tuple[float, float]:
        slow = [2 * draw.expovariate(1) for _ in range(count)]
        return ratio_interval(slow, [draw.expovariate(1) for _ in range(count)], 0.99, 10)

    few, many = interval(100), interval(4000)
    assert many[0] < 2 < many[1]
    assert many[1] - many[0] < (few[1] - few[0]) / 2


def test_one_stall_of_many_neighbours_makes_the_interval_wide() -> None:
    """It is one event, not twenty: the block it is in may be drawn or not."""
    calm = [1.0] * 1000
    stalled = [*calm[:500], *[9.0] * 20, *calm[520:]]
    least, most = ratio_interval(stalled, calm, 0.99, 20)
    assert (least, most) == (1.0, 9.0)
