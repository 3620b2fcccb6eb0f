"""A clock with several sources: what it shows when the machine's clock, a broker's, or both are wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.bounded_clock import LASTING_MS, BoundedClock, Refused

T0 = 1_700_000_000_000
HOUR = 3_600_000
BOUND = 1_000


class Machine:
    """True time passes by `passes`; the machine's and each broker's clock are wrong by what a test says."""

    def __init__(self, wrong: int = 0, brokers: int = 1) -> None:
        self.true = 0.0
        self.wrong = wrong
        self.brokers = [0] * brokers
        self.changes: list[Refused] = []
        self.clock = BoundedClock(
            lambda: round(T0 + self.true + self.wrong),
            bound_ms=BOUND,
            steady=lambda: self.true,
            on_refused=lambda refused, _before, _lead: self.changes.append(refused),
        )

    @property
    def error(self) -> int:
        """How far the clock is ahead of the true time."""
        return self.clock() - round(T0 + self.true)

    def passes(self, ms: float, took: float = 4) -> "Machine":
        """Let time pass; every broker appends a record, and answers within `took`."""
        self.true += ms
        for broker, wrong in enumerate(self.brokers):
            sent = self.true
            self.true += took
            self.clock.appended(broker, round(T0 + self.true - took / 2 + wrong), sent, self.true)
        return self


def test_a_right_clock_is_followed() -> None:
    """Also when it is slewed within the bound."""
    m = Machine().passes(10)
    m.wrong = 300
    assert (m.error, m.clock.refused) == (300, Refused.NONE)


@pytest.mark.parametrize("step", [HOUR, -HOUR, 5_000, -5_000])
def test_a_step_of_the_machines_clock_is_refused_and_heals(step: int) -> None:
    """While the clock is wrong, time goes on at its own pace; when it is right again, nothing is left of it."""
    m = Machine().passes(10)
    assert m.error == 0
    m.wrong = step
    for _ in range(5):
        assert (m.error, m.clock.refused) == (0, Refused.MACHINE)
        m.passes(3_000)
    m.wrong = 0
    assert (m.error, m.clock.refused) == (0, Refused.NONE)
    assert m.changes == [Refused.MACHINE, Refused.NONE]


def test_a_process_that_starts_with_a_wrong_clock_takes_the_brokers() -> None:
    m = Machine(wrong=HOUR).passes(10)
    assert abs(m.error) <= 4
    assert m.clock.refused is Refused.MACHINE
    m.wrong = 0
    assert m.passes(10).error == 0


def test_a_clock_behind_what_lanes_have_committed_is_wrong_from_the_start() -> None:
    m = Machine(wrong=-HOUR)
    m.clock.committed(T0 - 20_000)
    m.passes(10)
    assert abs(m.error) <= 4
    assert m.clock.refused is Refused.MACHINE


def test_a_step_of_the_brokers_clock_is_not_followed() -> None:
    """Also not by a process that starts then: of two times without a past, the earlier one does less harm."""
    m = Machine().passes(10)
    assert m.error == 0
    m.brokers[0] = HOUR
    assert (m.passes(10).error, m.clock.refused) == (0, Refused.BROKER)
    m.brokers[0] = 0
    assert (m.passes(10).error, m.clock.refused) == (0, Refused.NONE)
    late = Machine()
    late.brokers[0] = HOUR
    assert (late.passes(10).error, late.clock.refused) == (0, Refused.BROKER)


def test_one_broker_of_three_does_not_count() -> None:
    """Neither against a right clock, nor for a wrong one."""
    m = Machine(brokers=3).passes(10)
    m.brokers[0] = HOUR
    assert (m.passes(10).error, m.clock.refused) == (0, Refused.NONE)
    m.wrong = HOUR
    assert (m.passes(10).error, m.clock.refused) == (0, Refused.MACHINE)


def test_when_all_differ_time_goes_on_at_its_own_pace() -> None:
    m = Machine().passes(10)
    assert m.error == 0
    m.wrong, m.brokers[0] = HOUR, -HOUR
    assert (m.passes(5_000).error, m.clock.refused) == (0, Refused.BOTH)


def test_a_clock_that_runs_too_fast_is_refused_when_it_leaves_the_bound() -> None:
    """It drags no past along: the past is the brokers'."""
    m = Machine()
    for second in range(60):
        m.passes(1_000)
        m.wrong = second * 100
        assert -4 <= m.error <= BOUND + 4
    assert m.clock.refused is Refused.MACHINE


def test_a_broker_that_drifts_in_small_steps_drags_nothing() -> None:
    """Each step is within the bound of the one before; the machine's clock is right all the time, and stays in force."""
    m = Machine().passes(10)
    assert m.error == 0
    for step in range(1, 10):
        m.brokers[0] = 400 * step
        assert (m.passes(1_000).error, m.clock.refused) == (0, Refused.NONE if 400 * step <= BOUND else Refused.BROKER)


def test_a_slow_answer_does_not_spoil_an_exact_one() -> None:
    """A response that took 30 s says little about the broker's clock; the exact measure of before still counts."""
    m = Machine().passes(10)
    m.clock()
    m.passes(10, took=30_000)
    m.wrong = 10_000
    assert (m.error, m.clock.refused) == (0, Refused.MACHINE)


def test_without_a_brokers_time_a_step_is_refused_until_it_lasts() -> None:
    """A step that is taken back is not followed; a correction that lasts is."""
    m = Machine(brokers=0)
    m.wrong = HOUR
    assert m.error == 0
    assert m.passes(12_000).error == 0
    m.wrong = 0
    assert (m.error, m.clock.refused) == (0, Refused.NONE)
    m.wrong = 5_000
    assert (m.error, m.clock.refused) == (0, Refused.MACHINE)
    assert m.passes(LASTING_MS).error == 5_000
    assert m.clock.refused is Refused.NONE


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["machine", "broker", "right"]),
        st.integers(-2 * HOUR, 2 * HOUR),
        st.integers(1, 60_000),
        st.integers(0, 300),
    ),
    max_size=30,
)


@given(STEPS, st.integers(1, 3))
def test_one_wrong_clock_never_moves_the_time(steps: list[tuple[str, int, int, int]], brokers: int) -> None:
    """Whatever steps the machine's clock or one broker's makes, one of them at a time, with a measure between two steps: the time stays within
    the bound, never goes back by more, and is right as soon as all clocks are. A measure is uncertain by the time of an answer."""
    m = Machine(brokers=brokers).passes(10)
    assert m.error == 0
    before = m.clock()
    for which, wrong, ms, took in steps:
        m.wrong, m.brokers[0] = (wrong if which == "machine" else 0), (wrong if which == "broker" else 0)
        assert abs(m.passes(1, took).error) <= BOUND + 302
        m.passes(ms, took)
        assert abs(m.error) <= BOUND + 302
        now = m.clock()
        assert now > before - BOUND - 302
        before = max(before, now)
    m.wrong = m.brokers[0] = 0
    m.passes(70_000)
    assert (m.error, m.clock.refused) == (0, Refused.NONE)
