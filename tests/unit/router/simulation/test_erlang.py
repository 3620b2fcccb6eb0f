"""Theory: the table of docs/simulation.md, and laws that hold for any numbers."""

import pytest

from services.router.simulation.erlang import (
    ImpatientQueue,
    LimitedLines,
    Queue,
    erlang_b,
    erlang_c,
    from_empty,
    one_agent,
)


def test_fourteen_agents() -> None:
    """There are 100 calls of 180 s in half an hour."""
    queue = Queue(100 / 1800, 180, 14)
    assert queue.waits == pytest.approx(0.1741319, abs=1e-7)
    assert queue.service_level(20) == pytest.approx(0.88835, abs=1e-6)
    assert queue.mean_wait == pytest.approx(7.835937, abs=1e-6)
    assert queue.occupancy == pytest.approx(0.7142857, abs=1e-7)


def test_eleven_agents() -> None:
    """The calls are the same as for fourteen agents."""
    queue = Queue(100 / 1800, 180, 11)
    assert queue.waits == pytest.approx(0.6821182, abs=1e-7)
    assert queue.service_level(20) == pytest.approx(0.3896138, abs=1e-7)


@pytest.mark.parametrize(
    ("agents", "waits", "level", "answer"), [(40, 0.1907, 0.9372, 3.43), (35, 0.6965, 0.4724, 50.15)]
)
def test_a_thousand_an_hour(agents: int, waits: float, level: float, answer: float) -> None:
    """Each call takes 120 s."""
    queue = Queue(1000 / 3600, 120, agents)
    assert queue.waits == pytest.approx(waits, abs=5e-5)
    assert queue.service_level(20) == pytest.approx(level, abs=5e-5)
    assert queue.mean_wait == pytest.approx(answer, abs=5e-3)


def test_impatience() -> None:
    """There are 48 calls a minute, 50 agents, and a patience of 2 min."""
    queue = ImpatientQueue(48, 1, 50, 2)
    assert queue.abandoned == pytest.approx(0.0309, abs=5e-5)
    assert 60 * queue.mean_wait == pytest.approx(3.71, abs=5e-3)
    assert 60 * queue.wait_quantile(0.9) == pytest.approx(12.44, abs=5e-3)


def test_priorities() -> None:
    """30 % of the customers have priority."""
    high, low = Queue(10 / 180, 180, 14).mean_waits_by_class([0.3, 0.7])
    assert [high, low] == pytest.approx([2.849, 9.973], abs=5e-4)


def test_a_day_from_empty() -> None:
    """12 agents, 4.2 calls a minute of 2 min, 8 h: as published, rounded from a simulation; and long days reach the steady state."""
    day = from_empty(4.2, 2, 12, 480, 1 / 3)
    assert day.service_level == pytest.approx(0.902, abs=2e-3)
    assert day.mean_wait == pytest.approx(0.099, abs=2e-3)
    assert day.occupancy == pytest.approx(0.695, abs=3e-3)
    steady = Queue(4.2, 2, 12)
    long = from_empty(4.2, 2, 12, 1_500, 1 / 3)
    assert long.service_level == pytest.approx(steady.service_level(1 / 3), abs=3e-3)
    assert long.occupancy == pytest.approx(steady.occupancy, abs=3e-3)


def test_patience_without_end_is_no_patience_at_all() -> None:
    """Erlang A equals Erlang C."""
    patient, queue = ImpatientQueue(0.05, 180, 12, 1e7), Queue(0.05, 180, 12)
    assert patient.outcomes(20)[0] == pytest.approx(queue.service_level(20), abs=1e-3)
    assert patient.abandoned == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("within", [0.0, 0.3, 2.0, 50.0])
def test_every_customer_is_answered_leaves_or_waits(within: float) -> None:
    """This holds in overload too; in the end no customer waits, and those who left are those who abandoned."""
    queue = ImpatientQueue(60, 1, 40, 1.5)
    answered, left = queue.outcomes(within)
    assert 0 <= answered <= 1 - left <= 1
    if within == 50.0:
        assert answered + left == pytest.approx(1)
        assert left == pytest.approx(queue.abandoned)
        assert queue.occupancy == pytest.approx(60 * (1 - queue.abandoned) / 40)


def test_the_three_service_levels_are_in_order() -> None:
    """The more customers a denominator leaves out, the higher the level."""
    levels = ImpatientQueue(60, 1, 55, 1.5).service_levels(0.2)
    assert levels["offered"] < levels["offered_less_short_abandons"] < 1
    assert levels["offered"] < levels["answered"] < 1


def test_loss() -> None:
    """One agent with load 1 loses half; C follows from B."""
    assert erlang_b(1, 1.0) == 0.5
    assert erlang_c(1, 0.4) == pytest.approx(0.4)
    assert erlang_c(5, 5.0) == 1.0


def test_no_steady_state() -> None:
    """A queue with too few agents is refused, not computed."""
    with pytest.raises(ValueError, match="cannot handle"):
        Queue(1, 10, 9)


def test_lines() -> None:
    """As many lines as agents is Erlang B; very many lines is Erlang C. Hillier and Lieberman: M/M/1/3 with load 2/3 turns 12.3 % away."""
    assert LimitedLines(1, 10, 14, 14).blocked == pytest.approx(erlang_b(14, 10))
    assert LimitedLines(1, 10, 14, 400).mean_wait == pytest.approx(Queue(1, 10, 14).mean_wait)
    assert LimitedLines(2, 1 / 3, 1, 3).blocked == pytest.approx(8 / 65)


def test_one_agent() -> None:
    """Exponential handling is M/M/1; fixed handling waits half as long; classes with equal handling agree with those of n agents."""
    assert one_agent([(0.7, 1, 1)]) == pytest.approx([Queue(0.7, 1, 1).mean_wait])
    assert one_agent([(0.7, 1, 0)]) == pytest.approx([0.7 / 0.6])
    assert one_agent([(0.2, 1, 1), (0.5, 1, 1)]) == pytest.approx(Queue(0.7, 1, 1).mean_waits_by_class([2 / 7, 5 / 7]))
