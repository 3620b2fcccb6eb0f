"""Whether a score has changed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.feedback.domain.trends import changes, holm, net_difference, student_p, two_proportions, welch
from services.policy.model.surveys import SCALES, SurveyKind


def test_the_difference_of_two_shares_has_newcombes_interval() -> None:
    """56 of 70 against 48 of 80: .2 with [.0524, .3339] (Newcombe 1998, table II, method 10)."""
    difference, p = two_proportions(56, 70, 48, 80)
    assert difference.value == pytest.approx(0.2)
    assert difference.low == pytest.approx(0.0524, abs=5e-5)
    assert difference.high == pytest.approx(0.3339, abs=5e-5)
    assert p == pytest.approx(0.00805, abs=5e-5)


@pytest.mark.parametrize(
    ("t", "freedom", "p"), [(12.706, 1, 0.05), (2.262, 9, 0.05), (2.042, 30, 0.05), (1.96, 1e6, 0.05), (0, 5, 1)]
)
def test_students_p_is_that_of_the_tables(t: float, freedom: float, p: float) -> None:
    """The quantiles of 95 % leave 5 %."""
    assert student_p(t, freedom) == pytest.approx(p, abs=1e-4)


def test_welch_is_that_of_the_worked_example() -> None:
    """Means 5.4 and 3.5, variances .3 and .5, n 5 and 6: t 4.965 on 8.99 degrees of freedom."""
    difference, p = welch({5: 3, 6: 2}, {3: 4, 4: 1, 5: 1})
    assert difference.value == pytest.approx(1.9)
    error = (0.3 / 5 + 0.7 / 6) ** 0.5
    freedom = (0.3 / 5 + 0.7 / 6) ** 2 / ((0.3 / 5) ** 2 / 4 + (0.7 / 6) ** 2 / 5)
    assert p == pytest.approx(student_p(1.9 / error, freedom))
    assert p < 0.01


def test_one_answer_alone_shows_no_change_of_a_mean() -> None:
    """Its spread is unknown."""
    assert welch({7: 1}, {1: 30})[1] == 1.0


def test_the_same_nps_gives_no_difference_and_a_large_change_is_found() -> None:
    """Each side is adjusted as in the score itself."""
    same, p = net_difference((50, 20, 100), (50, 20, 100))
    assert (same.value, p) == (0, 1)
    assert same.low < 0 < same.high
    assert net_difference((80, 5, 100), (30, 40, 100))[1] < 1e-6


def test_holm_is_that_of_the_worked_example() -> None:
    """.01, .04, .03 become .03, .06, .06."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@settings(max_examples=60)
@given(st.sampled_from([*SurveyKind]), st.data())
def test_a_difference_lies_in_its_interval_and_turned_round_it_is_the_opposite(
    kind: SurveyKind, data: st.DataObject
) -> None:
    """For any two histograms; p is the same in both directions."""
    if kind not in SCALES:
        return
    histograms = st.dictionaries(st.sampled_from(list(SCALES[kind])), st.integers(1, 500), min_size=1)
    now, before = data.draw(histograms), data.draw(histograms)
    for there, back in zip(changes(kind, now, before), changes(kind, before, now), strict=True):
        assert there.difference.low - 1e-9 <= there.difference.value <= there.difference.high + 1e-9
        assert there.difference.value == pytest.approx(-back.difference.value, abs=1e-9)
        assert there.difference.low == pytest.approx(-back.difference.high, abs=1e-9)
        assert there.p == pytest.approx(back.p, abs=1e-9)
        assert 0 <= there.p <= 1
        assert there.difference.n == sum(now.values()) + sum(before.values())


def test_without_a_change_about_one_in_twenty_is_significant() -> None:
    """A thousand pairs of windows with the same true share: 3 to 7 % are below .05 (fixed seed)."""
    rng = random.Random(5)
    found = 0
    for _ in range(1000):
        a, b = (sum(rng.random() < 0.7 for _ in range(80)) for _ in range(2))
        found += two_proportions(a, 80, b, 80)[1] < 0.05
    assert 30 <= found <= 70
