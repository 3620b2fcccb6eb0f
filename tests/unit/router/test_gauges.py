"""The gauges of a process's shards, from real engines."""

import pytest

from services.chassis.metrics import Metrics
from services.router.adapters.gauges import RouterGauges
from services.router.metrics import METRICS
from tests.unit.router.world import World, a_pool, a_queue


def a_waiting(number: int, wait_ms: int) -> World:
    """Return a pool whose queue `q` has a number of interactions that wait this long."""
    world = World(a_pool(queues=[a_queue()]))
    for each in range(number):
        world.enqueue(f"i{each}")
    world.wait(wait_ms)
    return world


@pytest.mark.parametrize("tenants", [False, True])
def test_two_tenants_with_a_queue_of_one_name_are_combined_or_told_apart(tenants: bool) -> None:
    """Waiting interactions are added, the oldest of all is shown. A tenant whose shard has left takes its part with it."""
    metrics = Metrics(METRICS, tenants=tenants)
    gauges = RouterGauges(metrics)
    few, many = a_waiting(3, 70_000), a_waiting(4, 70_000)
    many.enqueue("new")
    now = few.now
    gauges.show([("best", many.engine), ("acme", few.engine)], now)
    shown = [("acme", "q"), ("best", "q")] if tenants else [("q",)]
    assert [metrics.value("chapar_router_waiting", *labels) for labels in shown] == ([3, 5] if tenants else [8])
    for labels in shown:
        assert metrics.value("chapar_router_oldest_waiting_seconds", *labels) == 70
        assert metrics.value("chapar_router_scheduled_total", *labels) == 0, "rare events exist from the start"
    gauges.show([("best", many.engine)], now)
    assert metrics.value("chapar_router_waiting", *shown[-1]) == 5
    if tenants:
        assert metrics.value("chapar_router_waiting", "acme", "q") is None


def test_the_oldest_of_all_tenants_is_shown() -> None:
    """In whatever order the engines come."""
    young, old = a_waiting(1, 10_000), a_waiting(1, 70_000)
    for order in ([("acme", young), ("best", old)], [("best", old), ("acme", young)]):
        metrics = Metrics(METRICS)
        RouterGauges(metrics).show([(tenant, world.engine) for tenant, world in order], old.now)
        assert metrics.value("chapar_router_oldest_waiting_seconds", "q") == 70


def test_the_pools_of_a_tenant_share_a_queues_series() -> None:
    """Shards of several partitions, and pools of one tenant."""
    metrics = Metrics(METRICS, tenants=True)
    one, two = a_waiting(1, 5_000), a_waiting(2, 9_000)
    RouterGauges(metrics).show([("acme", one.engine), ("acme", two.engine)], two.now)
    assert metrics.value("chapar_router_waiting", "acme", "q") == 3
    assert metrics.value("chapar_router_oldest_waiting_seconds", "acme", "q") == 9
