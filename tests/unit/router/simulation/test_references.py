"""`make references`: theory is within the interval, and an error is reported when it is not."""

import pytest

from tests.bench import references


def test_a_value_outside_the_interval_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong theory is detected."""
    scenario = references.a_scenario(1, {"calls": references.a_type(18, 180)}, 14, 60, 4)
    row = references.Row("wrong", scenario, {"all/occupancy": 0.2, "all/waited": 0.2}, {"all/waited": 0.9})
    assert references.check([row], 1, times=1) == 2
    assert capsys.readouterr().out.count("OUTSIDE") == 2


def test_every_row_has_a_seed_of_its_own() -> None:
    """So the rows are independent; and published results equal theory, except for rounding."""
    rows = references.rows()
    assert len({row.scenario.seed for row in rows}) == len(rows)
    for row in rows:
        for figure, value in row.published.items():
            assert row.theory[figure] == pytest.approx(value, rel=0.02)


@pytest.mark.slow
def test_loss_without_places() -> None:
    """One row of the table, through the live engine, equals Erlang B."""
    [row] = [row for row in references.rows() if "Erlang B" in row.name]
    assert references.check([row], 1, times=2) == 0
