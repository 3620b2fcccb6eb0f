"""The rate limit of tenants: a burst, then a number of units a second, and a bounded wait above that."""

from hypothesis import given
from hypothesis import strategies as st

from services.chassis.pacing import Pacer, Rate

PACE = Rate(per_s=10, burst=5)


def test_a_burst_passes_and_later_units_wait_for_their_turn() -> None:
    """They pass one at a time, 0.1 s apart."""
    pacer = Pacer(PACE)
    waits = [pacer.take("acme", 1, 100.0, 1.0).wait_s for _ in range(8)]
    assert [round(wait, 3) for wait in waits] == [0, 0, 0, 0, 0, 0, 0.1, 0.2]
    assert pacer.take("beta", 1, 100.0, 1.0).wait_s == 0


def test_a_wait_that_is_too_long_is_refused_and_spends_nothing() -> None:
    """A flood that is refused does not delay its tenant's next turn."""
    pacer = Pacer(PACE)
    for _ in range(1000):
        last = pacer.take("acme", 1, 0.0, 0.5)
    assert last.refused
    assert 0.5 < last.wait_s < 0.7
    assert not pacer.take("acme", 1, 0.2, 0.5).refused


def test_a_quiet_tenant_has_its_burst_again() -> None:
    """It gets one burst and no more, however long it was quiet."""
    pacer = Pacer(PACE)
    for _ in range(6):
        pacer.take("acme", 1, 0.0, 9)
    waits = [pacer.take("acme", 1, 1000.0, 9).wait_s for _ in range(8)]
    assert sum(wait < 1e-6 for wait in waits) == 6


def test_a_tenant_may_have_more_weight_than_others() -> None:
    """Its rate and its burst are multiplied by the weight."""
    pacer = Pacer(PACE, {"big": 3.0})

    def passed(tenant: str) -> int:
        return sum(not pacer.take(tenant, 1, 0.0, 0.0).refused for _ in range(100))

    assert passed("big") in range(15, 18)
    assert passed("small") in range(5, 7)


def test_no_limit_uses_no_memory() -> None:
    """This is a rate of 0."""
    pacer = Pacer(Rate(0, 1))
    assert all(pacer.take(f"t{n}", 1, 0.0, 0.0).wait_s == 0 for n in range(100))
    assert pacer.known == 0


def test_memory_is_bounded_by_the_most_keys() -> None:
    """The key that was quiet longest is removed first."""
    pacer = Pacer(PACE, most_keys=10)
    for number in range(1000):
        pacer.take(f"tenant-{number}", 1, 0.0, 1.0)
    assert pacer.known == 10


@given(st.lists(st.tuples(st.floats(0, 0.5), st.floats(0.1, 20)), min_size=1, max_size=200))
def test_no_more_units_pass_than_burst_and_rate_allow(steps: list[tuple[float, float]]) -> None:
    """Each unit counts at the time for which it waits; one entry above the burst may be in progress."""
    pacer = Pacer(PACE)
    now = 0.0
    let_in: list[tuple[float, float]] = []
    for pause, units in steps:
        now += pause
        turn = pacer.take("acme", units, now, 2.0)
        if not turn.refused:
            let_in.append((now + turn.wait_s, units))
    for begin in range(len(let_in)):
        total = 0.0
        for at, units in let_in[begin:-1]:
            total += units
            assert total - units <= PACE.burst + PACE.per_s * (at - let_in[begin][0]) + 1e-6
