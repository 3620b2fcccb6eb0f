"""Tenants take turns: a tenant that floods delays itself, not others."""

from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.fair_queue import FairQueue


def drained(queue: FairQueue[str]) -> list[str]:
    found = []
    while (entry := queue.pop()) is not None:
        found.append(entry)
    return found


def test_one_message_of_a_quiet_tenant_overtakes_a_flood() -> None:
    """It waits for at most one entry of each other tenant."""
    queue: FairQueue[str] = FairQueue(1000)
    for number in range(500):
        assert queue.push("flood", 1, f"flood-{number}")
    assert [queue.pop() for _ in range(3)] == ["flood-0", "flood-1", "flood-2"]
    assert queue.push("quiet", 1, "quiet")
    assert "quiet" in [queue.pop() for _ in range(2)]


def test_the_order_within_a_tenant_is_kept() -> None:
    """A customer's messages stay in order."""
    queue: FairQueue[str] = FairQueue(100)
    for number in range(20):
        queue.push("a" if number % 3 else "b", 1 + number % 2, f"{number:02}")
    found = drained(queue)
    for tenant in (lambda n: n % 3, lambda n: not n % 3):
        mine = [entry for entry in found if tenant(int(entry))]
        assert mine == sorted(mine)


def test_a_tenant_has_a_most_of_waiting_entries() -> None:
    """Entries beyond the maximum are refused; other tenants are not affected."""
    queue: FairQueue[str] = FairQueue(3)
    assert [queue.push("flood", 1, "x") for _ in range(5)] == [True, True, True, False, False]
    assert queue.push("quiet", 1, "y")
    queue.pop()
    queue.pop()
    assert queue.push("flood", 1, "x")


def test_nothing_is_remembered_of_tenants_that_do_not_wait() -> None:
    """However many there were."""
    queue: FairQueue[str] = FairQueue(3)
    for number in range(1000):
        queue.push(f"tenant-{number}", 1, "x")
        queue.pop()
    assert (len(queue), len(queue._finish), len(queue._waiting)) == (0, 0, 0)


@given(
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from([1.0, 2.0, 4.0]), min_size=2),
    st.integers(1, 9),
)
def test_tenants_that_always_wait_share_by_weight(weights: dict[str, float], cost: int) -> None:
    """At every time each tenant has had its share, within one entry of each tenant."""
    queue: FairQueue[str] = FairQueue(10_000, weights)
    for tenant in weights:
        for _ in range(400):
            queue.push(tenant, cost, tenant)
    served: Counter[str] = Counter()
    for _ in range(200):
        served[queue.pop() or ""] += 1
        parts = {tenant: Fraction(served[tenant]) / Fraction(weights[tenant]) for tenant in weights}
        assert max(parts.values()) - min(parts.values()) <= 1
