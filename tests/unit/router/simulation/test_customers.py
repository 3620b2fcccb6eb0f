"""Customers come in the numbers that were asked for, and are the same under every policy and staffing."""

import numpy as np
import pytest

from services.router.simulation.customers import Customers, draw, draw_one, lot, streams
from services.router.simulation.plan import make
from tests.unit.router.simulation.questions import a_scenario, always, calls, exponential


def drawn(replication: int = 0, **more: object) -> Customers:
    """Draw the customers of a scenario."""
    return draw(make(a_scenario(**more)), replication)


def test_the_same_whatever_the_staffing_and_whatever_else_comes() -> None:
    """With another group or another type, the calls are the same."""
    alone = drawn()
    types = {"calls": calls(), "mails": calls()}
    groups = {"agents": {"agents": 3}, "more": {"agents": 2}}
    together = drawn(types=types, groups=groups)
    mine = [n for n, kind in enumerate(together.kind) if kind == 0]
    assert [together.arrived[n] for n in mine] == alone.arrived
    assert [together.handling[1][n] for n in mine] == alone.handling[0]


def test_replications_differ() -> None:
    """Seeds differ too."""
    assert drawn(0).arrived != drawn(1).arrived
    assert drawn(0).arrived != drawn(0, seed=2).arrived


def test_a_slower_group_is_slower_with_every_customer() -> None:
    """The k-th customer keeps their place in the distribution."""
    types = {"calls": calls(handling_by_group={"slow": exponential("6m")})}
    customers = drawn(types=types, groups={"fast": {"agents": 1}, "slow": {"agents": 1}})
    assert np.allclose(np.array(customers.handling[1]), 2 * np.array(customers.handling[0]))


def test_arrivals_follow_their_rates() -> None:
    """Rates apply by period; the list starts again; a period that is cut off has its part."""
    types = {"calls": calls(arrivals={"rates": [300, 0, 900]})}
    arrived = np.array(drawn(types=types, duration="225m").arrived) / 1_800_000
    counts = np.bincount(arrived.astype(int), minlength=8)
    for count, expected in zip(counts, [300, 0, 900, 300, 0, 900, 300, 0], strict=True):
        assert abs(count - expected) <= 4 * expected**0.5
    assert arrived.max() < 7.5
    assert (np.diff(arrived) >= 0).all()


def test_busy_days_vary_more_than_poisson() -> None:
    """The variance of the day's number is m + (m cv)^2."""
    types = {"calls": calls(arrivals={"rates": [100], "busyness": {"day_cv": 0.3}})}
    plan = make(a_scenario(types=types, duration="30m"))
    counts = np.array([len(draw(plan, n).arrived) for n in range(200)])
    assert counts.mean() == pytest.approx(100, rel=0.08)
    assert counts.std() == pytest.approx((100 + 30**2) ** 0.5, rel=0.15)


def test_a_busy_day_is_busy_for_all_types() -> None:
    """This applies when the scenario sets the factor, not the type."""
    types = {"calls": calls(arrivals={"rates": [100]}), "mails": calls(arrivals={"rates": [100]})}
    plan = make(a_scenario(types=types, duration="30m", busyness={"day_cv": 0.5}))
    kinds = [draw(plan, n).kind for n in range(100)]
    assert np.corrcoef([k.count(0) for k in kinds], [k.count(1) for k in kinds])[0, 1] > 0.8


def test_patience_by_period() -> None:
    """Two periods have one distribution, the next another, and then the list starts again."""
    by_period = [{"periods": 2, "patience": always("1s")}, {"patience": {"distribution": "never"}}]
    customers = drawn(types={"calls": calls(patience_by_period=by_period)}, duration="3h")
    for arrived, patience in zip(customers.arrived, customers.patience, strict=True):
        assert patience == (1_000 if arrived // 1_800_000 % 3 < 2 else float("inf"))


def test_handling_by_period() -> None:
    """Two periods have one distribution, the next another, and then the list starts again. A group's own handling takes precedence."""
    by_period = [{"periods": 2, "handling": always("1m")}, {"handling": always("2m")}]
    given = {"queue": "q", "arrivals": {"every": "18s"}, "handling_by_period": by_period}
    types = {"calls": {**given, "handling_by_group": {"slow": always("9m")}}}
    customers = drawn(types=types, duration="3h", groups={"usual": {"agents": 1}, "slow": {"agents": 1}})
    for arrived, usual, slow in zip(customers.arrived, *customers.handling, strict=True):
        assert usual == (60_000 if arrived // 1_800_000 % 3 < 2 else 120_000)
        assert slow == 540_000


def test_handling_is_given_in_one_way() -> None:
    """Both ways at once, or none, are refused."""
    by_period = [{"handling": always("1m")}]
    with pytest.raises(ValueError, match="both `handling` and `handling_by_period`"):
        a_scenario(types={"calls": calls(handling_by_period=by_period)})
    with pytest.raises(ValueError, match="no `handling`"):
        a_scenario(types={"calls": {"arrivals": {"every": "18s"}}})


def test_lots_depend_on_their_purpose_only() -> None:
    """The draws of a customer who comes again do not depend on the draws before."""
    assert lot(1, 2, "again", 3).random() == lot(1, 2, "again", 3).random()
    assert lot(1, 2, "again", 3).random() != lot(1, 2, "again", 4).random()
    kind = a_scenario(types={"calls": calls(patience=always("7s"))}).types["calls"]
    assert kind.patience is not None
    assert draw_one(kind.patience, lot(1, 2, "x")) == 7_000


def test_a_day_too_busy_is_refused() -> None:
    """Gamma factors have no bound, but memory has."""
    types = {"calls": calls(arrivals={"rates": [1_900_000], "busyness": {"period_cv": 3}})}
    plan = make(a_scenario(types=types, duration="30m"))
    busy = next(n for n in range(100) if streams(1, n, "busyness", "calls").gamma(1 / 9, 9) > 3)
    with pytest.raises(ValueError, match="so busy a day"):
        draw(plan, busy)
