"""The pace of a tenant and its customers."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.chassis.pacing import Rate
from services.ingest.domain.shared_pace import SharedPace

PACE = Rate(per_s=20, burst=40)
WAIT_S = 2.0
CAPACITY = 40 + 20 * WAIT_S + 1
LARGE = CAPACITY / 4 + 1


def pace() -> SharedPace:
    return SharedPace(PACE, WAIT_S)


def test_many_customers_together_have_the_burst_and_what_may_wait() -> None:
    """The first ones at once, the others in order."""
    shared = pace()
    turns = [shared.take("acme", f"c{number}", 1, 100.0) for number in range(200)]
    assert sum(not turn.refused for turn in turns) == CAPACITY
    waits = [turn.wait_s for turn in turns if not turn.refused]
    assert waits == sorted(waits)
    assert waits[39] == 0 < waits[41]
    assert waits[-1] <= WAIT_S


def test_one_customer_never_has_more_than_half() -> None:
    """Another is let in, as often as the flood comes back."""
    shared = pace()
    counted = Counter(turn.refused for turn in (shared.take("acme", "flood", 1, 0.0) for _ in range(500)))
    assert CAPACITY / 2 - 1 <= counted[False] <= CAPACITY / 2
    now = 0.0
    for number in range(100):
        now += 0.5
        for _ in range(50):
            shared.take("acme", "flood", 1, now)
        assert not shared.take("acme", f"quiet-{number % 5}", 1, now).refused


def test_large_messages_of_ever_new_customers_leave_room_for_small_ones() -> None:
    """A stranger may call themselves what they like: mails of a megabyte do not use up the last quarter."""
    shared = pace()
    assert shared.cost("acme", 1, 128.0) == LARGE
    now = 0.0
    taken = 0
    for number in range(400):
        now += 0.05
        taken += not shared.take("acme", f"stranger-{number}", LARGE, now).refused
        if number % 20 == 0:
            assert not shared.take("acme", "quiet", 1.1, now).refused
    assert taken >= 10


def test_a_quiet_tenant_takes_one_call_however_large() -> None:
    """Or a batch beyond the burst could never be let in."""
    shared = pace()
    assert not shared.take("acme", "batch", 500, 0.0).refused
    assert shared.take("acme", "other", 1, 1.0).refused
    assert not shared.take("acme", "other", 1, 30.0).refused


def test_the_refusal_says_when_it_fits() -> None:
    """To come back then is enough, when no one else has come meanwhile."""
    shared = pace()
    while not (turn := shared.take("acme", "flood", 1, 0.0)).refused:
        pass
    assert shared.take("acme", "flood", 1, 0.0).refused
    assert not shared.take("acme", "flood", 1, turn.wait_s + 0.001).refused


def test_a_refused_call_comes_back_when_those_who_wait_have_gone() -> None:
    """Or a flood is refused again and again, which costs as well."""
    shared = pace()
    while not (turn := shared.take("acme", f"c{shared.known}", 1, 0.0)).refused:
        pass
    assert turn.wait_s >= WAIT_S


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.floats(0.1, 30), st.floats(0, 2)), max_size=200))
def test_no_tenant_goes_faster_than_its_pace_and_memory_is_bounded(calls: list[tuple[int, int, float, float]]) -> None:
    """Whatever is asked: what is let in fits into the capacity and the time, but for one call of a tenant that was quiet."""
    shared, now = pace(), 0.0
    let_in: dict[str, float] = {}
    largest: dict[str, float] = {}
    for tenant, customer, units, after in calls:
        now += after
        turn = shared.take(f"t{tenant}", f"c{customer}", units, now)
        if not turn.refused:
            let_in[f"t{tenant}"] = let_in.get(f"t{tenant}", 0.0) + units
            largest[f"t{tenant}"] = max(largest.get(f"t{tenant}", 0.0), units)
            assert turn.wait_s <= WAIT_S + 1 / PACE.per_s
    for name, total in let_in.items():
        assert total <= CAPACITY + PACE.per_s * now + largest[name]
    shared.take("last", "c", 1, now + 1000)
    assert shared.known == 3
