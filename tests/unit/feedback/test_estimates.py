"""Figures with their sample size and interval."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.feedback.domain.estimates import mean_score, measures, net_score, response_rate, t95, wilson
from services.policy.model.surveys import SCALES, SurveyKind


def test_seven_of_twenty_have_the_wilson_lower_bound_of_the_literature() -> None:
    """7 of 20: lower bound .1812."""
    assert wilson(7, 20).low == pytest.approx(0.1812, abs=5e-5)


def test_ten_of_ten_are_not_a_certainty() -> None:
    """10 of 10 is [.7225, 1]."""
    share = wilson(10, 10)
    assert share.low == pytest.approx(0.7225, abs=5e-5)
    assert share.high == 1


def test_nps_has_the_adjusted_wald_interval_of_the_literature() -> None:
    """50 promoters, 30 passives, 20 detractors: 29.13 [14.1, 44.2], of 100 responses."""
    nps = measures(SurveyKind.NPS, {10: 30, 9: 20, 8: 10, 7: 20, 6: 15, 0: 5})["nps"]
    assert nps.value == pytest.approx(29.13, abs=0.005)
    assert nps.low == pytest.approx(14.1, abs=0.06)
    assert nps.high == pytest.approx(44.2, abs=0.06)
    assert (nps.n, nps.method) == (100, "adjusted-wald")


def test_csat_is_the_share_of_fours_and_fives() -> None:
    """Two of four answered 4 or 5."""
    csat = measures(SurveyKind.CSAT, {1: 1, 3: 1, 4: 1, 5: 1})["csat"]
    assert (csat.value, csat.n, csat.method) == (0.5, 4, "wilson")


def test_ces_has_three_measures_each_under_its_own_name() -> None:
    """There is no single CES: mean, share of 5 to 7, and share of 6 to 7 less share of 1 to 3."""
    ces = measures(SurveyKind.CES, {7: 5, 5: 2, 4: 1, 2: 2})
    assert set(ces) == {"ces_mean", "ces_share_5_7", "ces_net"}
    assert ces["ces_mean"].value == pytest.approx(5.3)
    assert ces["ces_share_5_7"].value == pytest.approx(0.7)
    assert ces["ces_net"].value == pytest.approx(100 * 3 / 13)


def test_no_answers_give_no_figure() -> None:
    """A figure without n does not exist."""
    assert all(measures(kind, {}) == {} for kind in SurveyKind)


@pytest.mark.parametrize(
    ("df", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (9, 2.262), (29, 2.045), (999, 1.962)]
)
def test_students_quantiles_are_those_of_the_tables(df: int, quantile: float) -> None:
    """To a hundredth, which is finer than any survey."""
    assert t95(df) == pytest.approx(quantile, abs=0.01)


def test_one_answer_leaves_the_mean_open_over_the_whole_scale() -> None:
    """Its spread is unknown."""
    mean = mean_score({6: 1}, SCALES[SurveyKind.CES])
    assert (mean.low, mean.value, mean.high) == (1.0, 6.0, 7.0)


def test_an_unknown_response_rate_is_not_shown() -> None:
    """There were no invitations, or fewer invitations are retained than responses."""
    assert response_rate(0, 0) is None
    assert response_rate(3, 2) is None
    rate = response_rate(1, 4)
    assert rate is not None
    assert (rate.value, rate.n) == (0.25, 4)


@settings(max_examples=60)
@given(st.sampled_from(list(SCALES)), st.data())
def test_every_interval_holds_its_value_and_stays_in_range(kind: SurveyKind, data: st.DataObject) -> None:
    """This holds for any histogram on the scale."""
    histogram = data.draw(st.dictionaries(st.sampled_from(list(SCALES[kind])), st.integers(1, 5000), min_size=1))
    for name, estimate in measures(kind, histogram).items():
        assert estimate.low <= estimate.value + 1e-9, name
        assert estimate.value <= estimate.high + 1e-9, name
        assert estimate.n == sum(histogram.values())
        assert all(math.isfinite(bound) for bound in (estimate.low, estimate.high))
        least, most = {
            "csat": (0, 1),
            "nps": (-100, 100),
            "ces_mean": (1, 7),
            "ces_share_5_7": (0, 1),
            "ces_net": (-100, 100),
        }[name]
        assert least <= estimate.low
        assert estimate.high <= most


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(successes: int, n: int) -> None:
    """Such counts are bugs of the caller."""
    with pytest.raises(ValueError, match="not a share"):
        wilson(successes, n)
    with pytest.raises(ValueError, match="not a net score"):
        net_score(successes, 0, n)
