"""Requirements alone: how they are written, met, scored, relaxed by time and rings, and carried over to another queue."""

from math import inf, nan

import pytest

from services.policy.model.eligibility import (
    carried_over,
    change_times,
    describe,
    meets,
    meets_all,
    requirements_at,
    score,
    served_too,
)
from services.policy.model.routing import Operator, Ring, Selector
from tests.unit.router.world import requires

QOM = requires("city", 0, Operator.EQUAL, text="qom")
EITHER = Selector("", any_of=(requires("french", 4), QOM))
BOTH = Selector("", all_of=(requires("french", 4), requires("sales", 2)))


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (requires("french", 4), "french >= 4"),
        (requires("french", 4, Operator.UNSPECIFIED), "french >= 4"),
        (requires("french", 4.5, Operator.GREATER), "french > 4.5"),
        (requires("french", 4, Operator.LESS), "french < 4"),
        (requires("french", 4, Operator.AT_MOST), "french <= 4"),
        (requires("french", 4, Operator.EQUAL), "french = 4"),
        (requires("french", 4, Operator.NOT_EQUAL), "french != 4"),
        (QOM, "city = qom"),
        (requires("city", 0, Operator.HAS), "has city"),
        (requires("city", 0, Operator.IN, texts=("qom", "yazd")), "city in (qom, yazd)"),
        (EITHER, "(french >= 4 or city = qom)"),
        (BOTH, "(french >= 4 and sales >= 2)"),
    ],
)
def test_a_requirement_is_described_in_readable_form(selector: Selector, text: str) -> None:
    assert describe(selector) == text


@pytest.mark.parametrize(
    ("selector", "yes", "no"),
    [
        (requires("n", 3), 3, 2),
        (requires("n", 3, Operator.UNSPECIFIED), 3, 2),
        (requires("n", 3, Operator.GREATER), 4, 3),
        (requires("n", 3, Operator.LESS), 2, 3),
        (requires("n", 3, Operator.AT_MOST), 3, 4),
        (requires("n", 3, Operator.EQUAL), 3, 4),
        (requires("n", 3, Operator.NOT_EQUAL), 4, 3),
    ],
)
def test_numbers_are_compared_at_their_limits(selector: Selector, yes: float, no: float) -> None:
    """A skill that the agent does not have meets only `!=`."""
    assert meets(selector, {"n": yes})
    assert not meets(selector, {"n": no})
    assert meets(selector, {"other": yes}) is (selector.operator is Operator.NOT_EQUAL)
    assert meets_all((selector,), {"n": yes})
    assert not meets_all((requires("x", -9, Operator.NOT_EQUAL), selector), {"n": no})


def test_texts_are_labels_and_groups_are_joined() -> None:
    assert meets(QOM, {"city=qom": 1.0})
    assert not meets(QOM, {"city=yazd": 1.0, "city": 5.0})
    assert meets(requires("city", 0, Operator.NOT_EQUAL, text="qom"), {"city=yazd": 1.0})
    assert meets(requires("city", 0, text="qom"), {"city=qom": 1.0})
    assert meets(requires("city", 0, Operator.HAS), {"city=qom": 1.0})
    assert meets(requires("city", 0, Operator.HAS), {"city": 0.0})
    assert not meets(requires("city", 0, Operator.HAS), {"citys=qom": 1.0})
    assert meets(requires("city", 0, Operator.IN, texts=("qom", "yazd")), {"city=yazd": 1.0})
    assert not meets(requires("city", 0, Operator.IN, texts=("qom",)), {"city=yazd": 1.0})
    assert meets(EITHER, {"city=qom": 1.0})
    assert not meets(EITHER, {"french": 3.0})
    assert meets(BOTH, {"french": 4.0, "sales": 2.0})
    assert not meets(BOTH, {"french": 4.0, "sales": 1.0})


# The skill score


def test_the_score_is_the_weighted_mean_of_how_far_numbers_are_exceeded() -> None:
    """sigmoid((value - required) / required): .5 when just met, .7311 at twice the number, .2689 for `<=` at twice."""
    assert score((), {}) == 1.0
    assert score((requires("n", 3),), {"n": 3.0}) == 0.5
    assert score((requires("n", 3),), {"n": 6.0}) == pytest.approx(0.731059)
    assert score((requires("n", -3),), {"n": 0.0}) == pytest.approx(0.731059)
    assert score((requires("n", 0),), {"n": 1.0}) == pytest.approx(0.731059)
    assert score((requires("n", 3),), {"n": 2.0}) == 0.0
    assert score((requires("n", 4, Operator.AT_MOST),), {"n": 2.0}) == pytest.approx(0.622459)
    assert score((requires("n", 4, Operator.LESS),), {"n": 2.0}) == pytest.approx(0.622459)
    assert score((requires("n", 4, Operator.GREATER),), {"n": 6.0}) == pytest.approx(0.622459)
    assert score((requires("n", 3), requires("m", 3)), {"n": 3.0, "m": 6.0}) == pytest.approx((0.5 + 0.731059) / 2)


def test_a_selectors_weight_is_its_part_and_an_invalid_weight_counts_as_one() -> None:
    skills = {"n": 3.0, "city=qom": 1.0}
    assert score((requires("n", 3, weight=3.0), QOM), skills) == pytest.approx((3 * 0.5 + 1) / 4)
    for weight in (0.0, -2.0, inf, nan):
        assert score((requires("n", 3, weight=weight), QOM), skills) == pytest.approx(0.75)


@pytest.mark.parametrize("operator", [Operator.EQUAL, Operator.NOT_EQUAL, Operator.HAS])
def test_labels_and_equality_count_one(operator: Operator) -> None:
    assert score((requires("n", 5 if operator is Operator.EQUAL else 4, operator),), {"n": 5.0}) == 1.0


def test_labels_and_negations_count_one_and_extremes_stay_finite() -> None:
    assert score((QOM,), {"city=qom": 1.0, "city": 3.0}) == 1.0
    assert score((requires("city", 0, Operator.IN, texts=("qom",)),), {"city=qom": 1.0, "city": 3.0}) == 1.0
    assert score((requires("x", 4, Operator.NOT_EQUAL),), {}) == 1.0
    assert score((requires("n", 1),), {"n": inf}) == 1.0
    assert score((requires("n", 1e-9),), {"n": 1e9}) == pytest.approx(1.0)
    assert score((requires("n", 1e-9, Operator.AT_MOST),), {"n": -1e9}) == pytest.approx(1.0)


def test_an_or_group_counts_as_its_best_member_and_an_and_group_as_their_mean() -> None:
    skills = {"french": 8.0, "sales": 2.0}
    assert score((EITHER,), skills) == pytest.approx(0.731059)
    assert score((EITHER,), {"french": 4.0, "city=qom": 1.0}) == 1.0
    assert score((BOTH,), skills) == pytest.approx((0.731059 + 0.5) / 2)
    assert score((BOTH,), {"french": 8.0}) == 0.0
    assert score((Selector("", any_of=(BOTH, requires("french", 8))),), skills) == pytest.approx((0.731059 + 0.5) / 2)


# Relaxation

EXPIRING = requires("a", 5, expires_after_ms=6_000)
SINKING = Selector("b", number=5, steps=((4_000, 4.0), (8_000, 2.0)))


@pytest.mark.parametrize(
    ("age", "wanted"),
    [
        (0, (requires("a", 5), requires("b", 5))),
        (3_999, (requires("a", 5), requires("b", 5))),
        (4_000, (requires("a", 5), requires("b", 4))),
        (5_999, (requires("a", 5), requires("b", 4))),
        (6_000, (requires("b", 4),)),
        (7_999, (requires("b", 4),)),
        (8_000, (requires("b", 2),)),
    ],
)
def test_a_requirement_expires_or_sinks_at_its_time(age: int, wanted: tuple[Selector, ...]) -> None:
    """Needs contain no times, so that equal needs are equal."""
    assert requirements_at((EXPIRING, SINKING), (), age) == wanted
    plain = requires("c")
    assert requirements_at((plain,), (), age)[0] is plain


RINGS = (
    Ring(2_000, lower=(("french", 3.0), ("sales", 9.0))),
    Ring(4_000, drop=("city",), lower=(("french", 3.5),), queues=("z", "w")),
    Ring(6_000, drop=("sales",), queues=("a", "z")),
)


@pytest.mark.parametrize(
    ("age", "wanted"),
    [
        (1_999, (requires("french", 4), requires("sales", 2), QOM)),
        (2_000, (requires("french", 3), requires("sales", 2), QOM)),
        (4_000, (requires("french", 3), requires("sales", 2))),
        (6_000, (requires("french", 3),)),
    ],
)
def test_rings_lower_and_drop_and_add_up_and_never_raise(age: int, wanted: tuple[Selector, ...]) -> None:
    assert requirements_at((requires("french", 4), requires("sales", 2), QOM), RINGS, age) == wanted


def test_rings_lower_at_least_and_greater_numbers_alone() -> None:
    ring = (Ring(0, lower=(("n", 1.0),)),)
    for operator in Operator:
        lowered = operator in (Operator.UNSPECIFIED, Operator.AT_LEAST, Operator.GREATER)
        assert requirements_at((requires("n", 5, operator),), ring, 0) == (
            requires("n", 1 if lowered else 5, operator),
        )
    assert requirements_at((requires("n", 5, text="x"),), ring, 0) == (requires("n", 5, text="x"),)


def test_rings_reach_into_groups() -> None:
    """A dropped member of an or-group satisfies it, one of an and-group is not required; `lower` lowers members."""
    lowered = requirements_at((EITHER, BOTH), RINGS, 2_000)
    assert lowered == (
        Selector("", any_of=(requires("french", 3), QOM)),
        Selector("", all_of=(requires("french", 3), requires("sales", 2))),
    )
    assert requirements_at((EITHER, BOTH), RINGS, 4_000) == (lowered[1],)
    assert requirements_at((BOTH,), RINGS, 6_000) == (Selector("", all_of=(requires("french", 3),)),)
    assert requirements_at((BOTH,), (Ring(0, drop=("french", "sales")),), 0) == ()


def test_queues_that_rings_add_come_sorted_and_once() -> None:
    assert [served_too(RINGS, age) for age in (3_999, 4_000, 5_999, 6_000)] == [
        (),
        ("w", "z"),
        ("w", "z"),
        ("a", "w", "z"),
    ]


def test_the_times_at_which_anything_changes() -> None:
    assert change_times((EXPIRING, SINKING, requires("c")), RINGS) == [2_000, 4_000, 6_000, 8_000]
    assert change_times((requires("c"),), (Ring(0, queues=("z",)),)) == []


# Carried over to another queue


def test_carried_over_requirements_keep_their_relaxation_and_its_times() -> None:
    assert carried_over((EXPIRING, SINKING), (), 5_000) == (
        requires("a", 5, expires_after_ms=1_000),
        Selector("b", number=4, steps=((3_000, 2.0),)),
    )
    assert carried_over((EXPIRING, SINKING), (), 6_000) == (Selector("b", number=4, steps=((2_000, 2.0),)),)
    assert carried_over((EXPIRING, SINKING), (), 5_999)[0] == requires("a", 5, expires_after_ms=1)
    assert carried_over((SINKING,), (), 8_000) == (requires("b", 2),)
    plain = requires("c")
    assert carried_over((plain,), RINGS, 9_000)[0] is plain


def test_requirements_that_rings_lowered_or_dropped_are_never_raised_again() -> None:
    asked = (Selector("french", number=5, steps=((4_000, 4.0), (8_000, 2.0))), QOM, requires("sales", 12))
    assert carried_over(asked, RINGS, 2_000) == (
        Selector("french", number=3, steps=((2_000, 3.0), (6_000, 2.0))),
        QOM,
        requires("sales", 9),
    )
    assert carried_over(asked, RINGS, 1_999) == (
        Selector("french", number=5, steps=((2_001, 4.0), (6_001, 2.0))),
        QOM,
        requires("sales", 12),
    )
    assert carried_over(asked, RINGS, 6_000) == (Selector("french", number=3, steps=((2_000, 2.0),)),)
    rising = (Selector("french", number=2, steps=((4_000, 4.0),)),)
    assert carried_over(rising, RINGS, 3_000) == (Selector("french", number=2, steps=((1_000, 4.0),)),)
