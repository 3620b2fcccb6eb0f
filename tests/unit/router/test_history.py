"""The history of a queue: estimates, service level, demand, and the multiplier of the ADAPTIVE order."""

from math import exp

import pytest
from scipy.stats import gamma

from services.router.domain.entries import HistoryEntry
from services.router.domain.pool.history import History
from services.router.translate import codec
from tests.unit.router.world import START

MINUTE = 60_000


def served(history: History, now: int, waited_ms: int = 0, *, in_time: bool = True, more: bool = True) -> None:
    """Record an interaction that was assigned; more of them wait unless `more` is false."""
    history.departed(now, waited_ms, in_time=in_time, left_waiting=more)


def left(history: History, now: int, waited_ms: int = 0, *, more: bool = True) -> None:
    """Record a customer who left."""
    history.abandoned(now, waited_ms, left_waiting=more)


def every(gap_ms: int, times: int) -> History:
    """Return a queue that was never empty, with assignments at equal gaps."""
    history = History()
    for n in range(times + 1):
        served(history, START + n * gap_ms)
    return history


def test_a_queue_without_a_history_has_no_measures() -> None:
    history = History()
    assert (history.n, history.level, history.demand(START), history.prospect_ms(1)) == (0, None, 0.0, (-1, -1))
    assert history.multiplier == 1.0


# The estimate


def test_only_gaps_during_which_something_waited_count() -> None:
    """After a departure that left nothing waiting, or after the last customer left, the next gap says nothing about the rate."""
    history = History()
    served(history, START, more=False)
    served(history, START + 5_000)
    assert history.n == 0
    served(history, START + 7_000)
    assert history.n == 1
    left(history, START + 8_000)
    served(history, START + 9_000)
    assert history.n == 2
    left(history, START + 9_500, more=False)
    served(history, START + 20_000)
    assert history.n == 2
    assert history.dump().intervals == (2_000, 2_000)


def test_the_newest_thirty_two_gaps_count() -> None:
    history = every(1_000, 40)
    assert history.n == 32
    for n in range(32):
        served(history, START + 40_000 + (n + 1) * 3_000)
    assert history.dump().intervals == (3_000,) * 32


@pytest.mark.parametrize(("position", "p50", "p90"), [(1, 7_023, 22_795), (2, 16_848, 38_736), (20, 196_685, 258_981)])
def test_without_abandonment_the_wait_is_a_gamma_of_the_gaps(position: int, p50: int, p90: int) -> None:
    """Gaps of 10 s give a gamma distribution with that number of stages, by the approximation of Wilson and Hilferty."""
    assert every(10_000, 5).prospect_ms(position) == (p50, p90)
    assert every(10_000, 5).prospect_ms(0) == every(10_000, 5).prospect_ms(1)


@pytest.mark.parametrize("position", [1, 2, 15, 16, 17, 18, 40, 300, 5_000])
@pytest.mark.parametrize("patience_ms", [None, 600_000, 20_000])
def test_estimates_are_the_quantiles_of_whitts_stages(position: int, patience_ms: int | None) -> None:
    """For stages of mean 1/(r + i theta), the estimate is within 2 % and 5 ms of scipy's gamma with their mean and variance."""
    history = every(4_000, 30)
    theta = 0.0
    if patience_ms is not None:
        for _ in range(30):
            left(history, START + 120_000, patience_ms)
        theta = history.dump().left / history.dump().exposure
        assert theta == pytest.approx(1 / patience_ms, rel=0.1)
    rates = [1 / 4_000 + i * theta for i in range(position)]
    mean, variance = sum(1 / rate for rate in rates), sum(1 / rate**2 for rate in rates)
    shape = mean**2 / variance
    wanted = [gamma.ppf(share, shape, scale=mean / shape) for share in (0.5, 0.9)]
    assert history.prospect_ms(position) == pytest.approx(wanted, rel=0.02, abs=5)


def test_abandonment_shortens_the_wait_and_old_patience_fades() -> None:
    """Each departure fades the past by one in 500."""
    history = every(4_000, 30)
    calm = history.prospect_ms(20)
    left(history, START + 120_000, 10_000)
    assert (history.dump().left, history.dump().exposure) == (1.0, 10_000.0)
    assert history.prospect_ms(20) < calm
    left(history, START + 121_000, 500)
    assert [history.dump().left, history.dump().exposure] == pytest.approx([1.998, 10_480.0])
    served(history, START + 122_000, 1_000)
    assert [history.dump().left, history.dump().exposure] == pytest.approx([1.994004, 11_459.04])


def test_gaps_of_zero_do_not_divide_by_zero() -> None:
    assert every(0, 3).prospect_ms(1) == (0, 1)


# The level


def test_the_level_is_the_share_in_time_of_the_last_hundred_with_abandoned_ones_late() -> None:
    history = History()
    served(history, START)
    assert history.level == 1.0
    left(history, START)
    assert history.level == 0.5
    served(history, START, in_time=False)
    assert history.level == pytest.approx(1 / 3)
    for _ in range(97):
        served(history, START, in_time=False)
    assert history.level == 0.01
    served(history, START, in_time=False)
    assert history.level == 0.0
    for _ in range(99):
        served(history, START)
    assert history.level == 0.99
    served(history, START)
    assert history.level == 1.0


# The multiplier


def test_the_multiplier_moves_a_minute_after_the_first_end() -> None:
    """s becomes s · exp(-(goal - level) / 2), from what has ended since the last change; nothing is due until something ends again."""
    history = History()
    assert history.adapts_at == 0
    served(history, START, in_time=False)
    served(history, START + MINUTE - 1)
    left(history, START + MINUTE)
    assert (history.multiplier, history.adapts_at) == (1.0, START + MINUTE)
    history.adapt(0.8)
    assert history.multiplier == pytest.approx(exp(-0.5 * (0.8 - 1 / 3)))
    assert history.adapts_at == 0
    served(history, START + 2 * MINUTE)
    assert history.adapts_at == START + 3 * MINUTE
    history.adapt(0.8)
    assert history.multiplier == pytest.approx(exp(-0.5 * (0.8 - 1 / 3)) * exp(-0.5 * (0.8 - 1)))


def test_the_multiplier_stays_where_it_is_when_nothing_has_ended() -> None:
    history = History()
    history.adapt(0.8)
    assert history.multiplier == 1.0


@pytest.mark.parametrize(("in_time", "end"), [(False, 0.2), (True, 2.0)])
def test_the_multiplier_stays_between_a_fifth_and_two(in_time: bool, end: float) -> None:
    history = History()
    for minute in range(20):
        served(history, START + minute * MINUTE, in_time=in_time)
        history.adapt(0.8)
        assert 0.2 <= history.multiplier <= 2.0
    assert history.multiplier == end


# Demand


def test_an_arrival_counts_half_after_five_minutes() -> None:
    history = History()
    history.arrived(START)
    assert history.demand(START) == 1.0
    assert history.demand(START - 1) == 1.0
    assert history.demand(START + 5 * MINUTE) == pytest.approx(0.5)
    history.arrived(START + 5 * MINUTE)
    assert history.demand(START + 10 * MINUTE) == pytest.approx(0.75)


# The changelog


def test_a_history_comes_back_as_it_was() -> None:
    """Later results are the same too: the fields for the next level, estimate and demand come back."""
    history = every(2_500, 9)
    left(history, START + 25_000, 7_000)
    history.arrived(START)
    served(history, START + 3 * MINUTE, in_time=False)
    entry = history.dump()
    restored = codec.decode("q", codec.encode(entry))
    assert isinstance(restored, HistoryEntry)
    again = History.load(restored)
    assert again.dump() == entry
    for one in (again, history):
        one.arrived(START + MINUTE)
        served(one, START + 5 * MINUTE)
    assert again.dump() == history.dump()
