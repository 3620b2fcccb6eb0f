"""The budget for bytes of callers who are not authenticated yet."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.byte_budget import ByteBudget, ByteShares, Held, OverBudget

SHARES = ByteShares(total=1000, per_peer=400, reserve=200, small=50)


def test_one_peer_cannot_use_up_the_budget_of_others() -> None:
    """Each peer has a share, and small bodies still fit when large ones do not."""
    budget = ByteBudget(SHARES)
    loud = budget.open("loud")
    loud.more(400)
    with pytest.raises(OverBudget):
        loud.more(1)
    budget.open("other").more(400)
    third = budget.open("third")
    with pytest.raises(OverBudget):
        third.more(51)
    third.more(50)
    with pytest.raises(OverBudget):
        third.more(1)
    loud.release()
    third.more(1)
    assert budget.held == 451


def test_a_body_above_the_budget_is_refused_by_its_declared_length() -> None:
    """The declared length is checked; nothing is held for it."""
    budget = ByteBudget(SHARES)
    held = budget.open("a")
    with pytest.raises(OverBudget):
        held.expect(401)
    held.expect(400)
    assert budget.held == 0
    held.more(300)
    held.expect(400)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "", "c"]), st.integers(0, 300), st.booleans()), max_size=80))
def test_limits_hold_and_all_bytes_are_released(steps: list[tuple[str, int, bool]]) -> None:
    """This holds for any order of taking, failing and releasing."""
    budget = ByteBudget(SHARES)
    held: list[Held] = []
    for peer, count, release in steps:
        body = budget.open(peer)
        held.append(body)
        with contextlib.suppress(OverBudget):
            body.more(count)
        if release:
            held.pop(0).release()
        assert 0 <= budget.held <= SHARES.total
        assert all(0 < each <= SHARES.per_peer for each in budget._peers.values())
    for body in held:
        body.release()
        body.release()
    assert budget.held == 0
    assert budget._peers == {}
