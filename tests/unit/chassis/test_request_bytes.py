"""The bytes of requests in progress, shared by tenants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.request_bytes import RequestBytes


def fill(budget: RequestBytes, tenant: str, size: int) -> int:
    """Take bytes until a request is refused; return the number of requests."""
    count = 0
    while True:
        try:
            budget.take(tenant, size)
        except ChaparError as error:
            assert (error.kind, error.reason) == (ErrorKind.EXHAUSTED, "TOO_MANY_BYTES")  # noqa: PT017 - the way out
            assert error.retry_after_s is not None  # noqa: PT017 - the way out
            return count
        count += 1


def test_one_tenant_gets_half_and_another_is_served() -> None:
    """This holds for requests of any size."""
    budget = RequestBytes(100)
    assert fill(budget, "greedy", 10) == 5
    assert fill(budget, "modest", 1) == 25
    budget.release("greedy", 10)
    budget.take("modest", 1)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 40), st.booleans()), max_size=150))
def test_bytes_balance_and_leave_nothing_behind(steps: list[tuple[str, int, bool]]) -> None:
    """The total is never exceeded; afterwards no tenant is remembered, also after requests without bytes."""
    budget = RequestBytes(100)
    held: list[tuple[str, int]] = []
    for tenant, size, wants in steps:
        if wants:
            try:
                budget.take(tenant, size)
            except ChaparError:
                continue
            held.append((tenant, size))
        elif held:
            budget.release(*held.pop())
        assert budget.taken == sum(size for _, size in held) <= 100
    for each in held:
        budget.release(*each)
    assert (budget.taken, budget.known) == (0, 0)


def test_a_request_larger_than_the_budget_is_refused() -> None:
    """It takes no bytes."""
    budget = RequestBytes(10)
    with pytest.raises(ChaparError):
        budget.take("acme", 11)
    assert (budget.taken, budget.known) == (0, 0)
