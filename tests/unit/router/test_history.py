"""The history of a queue: estimates, service level, demand, and the minutes of the ADAPTIVE order."""

import pytest
from scipy.stats import gamma

from services.router.domain.entries import HistoryEntry
from services.router.domain.pool.history import History
from services.router.translate import codec
from tests.unit.router.world import START

MINUTE = 60_000


def served(
    history: History, now: int, waited_ms: int = 0, *, in_time: bool = True, more: bool = True, staff: int = 1
) -> None:
    """Record an interaction that was assigned by one of `staff` agents; more of them wait unless `more` is false."""
    history.departed(now, waited_ms, in_time=in_time, left_waiting=more, staff=staff)


def left(history: History, now: int, waited_ms: int = 0, *, more: bool = True) -> None:
    """Record a customer who left."""
    history.abandoned(now, waited_ms, left_waiting=more)


def every(gap_ms: int, times: int, staff: int = 1) -> History:
    """Return a queue that was never empty, with assignments at equal gaps, the last one at START."""
    history = History()
    for n in range(times + 1):
        served(history, START - (times - n) * gap_ms, staff=staff)
    return history


def quantiles(history: History, position: int, rate: float, theta: float = 0.0, now: int = START) -> list[float]:
    """Return scipy's quantiles of a gamma distribution with the mean and the variance of the stages, and of the pace."""
    rates = [rate + i * theta for i in range(position)]
    mean = sum(1 / each for each in rates)
    variance = sum(1 / each**2 for each in rates) + mean**2 / history.seen(now)
    return [float(gamma.ppf(share, mean**2 / variance, scale=variance / mean)) for share in (0.5, 0.9)]


def test_a_queue_without_a_history_has_no_measures() -> None:
    history = History()
    assert (history.seen(START), history.level, history.demand(START)) == (0, None, 0.0)
    assert history.prospect_ms(START, 1, 1) == (-1, -1)
    assert history.shift_ms == 0.0


# The estimate


def test_only_gaps_during_which_something_waited_count() -> None:
    """After a departure that left nothing waiting, or after the last customer left, the next gap says nothing about the pace."""
    history = History()
    served(history, START, more=False)
    served(history, START + 5_000)
    assert history.seen(START) == 0
    served(history, START + 7_000)
    assert history.dump().staffed_ms == 2_000
    left(history, START + 8_000)
    served(history, START + 9_000)
    assert history.seen(START + 9_000) == pytest.approx(2, rel=0.02)
    assert history.dump().staffed_ms == pytest.approx(4_000, rel=0.02)
    left(history, START + 9_500, more=False)
    served(history, START + 20_000)
    assert history.dump().staffed_ms == pytest.approx(4_000, rel=0.02)


def test_a_new_pace_replaces_the_old_one() -> None:
    """Each departure fades the past by one in 32."""
    history = every(1_000, 200)
    assert 25 < history.seen(START) < 32
    for n in range(150):
        served(history, START + (n + 1) * 3_000)
    entry = history.dump()
    assert entry.staffed_ms / entry.departures == pytest.approx(3_000, rel=0.02)


def test_what_was_seen_half_an_hour_ago_counts_half() -> None:
    """D2: after hours without news the pace is unknown; ten hours later the queue says so instead of 14 s."""
    history = every(1_000, 200)
    seen = history.seen(START)
    assert history.seen(START + 30 * MINUTE) == pytest.approx(seen / 2)
    assert history.prospect_ms(START + 60 * MINUTE, 14, 1)[1] > history.prospect_ms(START, 14, 1)[1]
    assert history.prospect_ms(START + 10 * 60 * MINUTE, 14, 1) == (-1, -1)


def test_twice_the_agents_halve_the_wait_and_none_make_it_unknown() -> None:
    history = every(1_000, 200, staff=4)
    (p50, p90), (half_p50, half_p90) = history.prospect_ms(START, 10, 4), history.prospect_ms(START, 10, 8)
    assert [half_p50, half_p90] == pytest.approx([p50 / 2, p90 / 2], abs=1)
    assert history.prospect_ms(START, 10, 0) == (-1, -1)


def test_little_that_was_seen_makes_the_interval_wide() -> None:
    """The same pace from three departures and from many."""
    few, many = every(1_000, 3).prospect_ms(START, 10, 1), every(1_000, 200).prospect_ms(START, 10, 1)
    assert few[1] > 1.2 * many[1]
    assert few[0] < many[0]


@pytest.mark.parametrize("position", [1, 2, 20])
def test_without_abandonment_the_wait_is_a_gamma_of_the_pace(position: int) -> None:
    """Gaps of 10 s, by the approximation of Wilson and Hilferty."""
    history = every(10_000, 5)
    wanted = quantiles(history, position, 1 / 10_000)
    assert history.prospect_ms(START, position, 1) == pytest.approx(wanted, rel=0.03, abs=50)
    assert history.prospect_ms(START, 0, 1) == history.prospect_ms(START, 1, 1)


@pytest.mark.parametrize("position", [1, 2, 15, 16, 17, 18, 40, 300, 5_000])
@pytest.mark.parametrize("patience_ms", [None, 600_000, 20_000])
def test_estimates_are_the_quantiles_of_whitts_stages(position: int, patience_ms: int | None) -> None:
    """For stages of mean 1/(r + i theta), the estimate is within 2 % and 5 ms of scipy's gamma with their mean and variance."""
    history = every(4_000, 100)
    theta = 0.0
    if patience_ms is not None:
        for _ in range(30):
            left(history, START, patience_ms)
        theta = history.dump().left / history.dump().exposure
        assert theta == pytest.approx(1 / patience_ms, rel=0.1)
    wanted = quantiles(history, position, 1 / 4_000, theta)
    assert history.prospect_ms(START, position, 1) == pytest.approx(wanted, rel=0.02, abs=5)


def test_abandonment_shortens_the_wait_and_old_patience_fades() -> None:
    """Each departure fades the past by one in 500."""
    history = every(4_000, 30)
    calm = history.prospect_ms(START, 20, 1)
    left(history, START + 120_000, 10_000)
    assert (history.dump().left, history.dump().exposure) == (1.0, 10_000.0)
    assert history.prospect_ms(START, 20, 1) < calm
    left(history, START + 121_000, 500)
    assert [history.dump().left, history.dump().exposure] == pytest.approx([1.998, 10_480.0])
    served(history, START + 122_000, 1_000)
    assert [history.dump().left, history.dump().exposure] == pytest.approx([1.994004, 11_459.04])


def test_gaps_of_zero_do_not_divide_by_zero() -> None:
    assert every(0, 3).prospect_ms(START, 1, 1)[1] <= 1


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


# Minutes of the adaptive order


def test_outcomes_count_in_a_minute_that_has_begun_only() -> None:
    history = History()
    served(history, START, in_time=False)
    assert history.in_minute == (0, 0)
    history.minute_since = START
    served(history, START)
    left(history, START + 1)
    assert history.in_minute == (1, 2)
    history.end_minute()
    assert (history.minute_since, history.in_minute) == (0, (0, 0))


def test_outcomes_a_minute_are_those_of_the_last_half_hour_mostly() -> None:
    """Three a minute for hours, then one a minute: after 30 minutes half of the difference is forgotten."""
    history = History()
    for minute in range(300 + 30):
        history.minute_since = START + minute * MINUTE
        for _ in range(3 if minute < 300 else 1):
            served(history, START + minute * MINUTE)
        history.end_minute()
    assert history.ends_a_minute == pytest.approx(2, abs=0.06)


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
